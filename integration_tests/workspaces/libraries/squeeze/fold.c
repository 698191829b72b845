#include "squeeze/fold.h"

int fold(int (*step)(int, int), int start, const int *numbers, int count) {
  for (int i = 0; i < count; i++) start = step(start, numbers[i]);
  return start;
}
