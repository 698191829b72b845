#include "edges.h"

static int visited;

static int count(int column, int row, double strength) {
  visited++;
  return 0;
}

int main(void) {
  const unsigned char flat[4] = {9, 9, 9, 9};
  const unsigned char step[4] = {0, 9, 0, 9};
  if (visit_edges(flat, 2, 2, 0, count) != 0) return 1;
  if (visit_edges(step, 2, 2, 0, count) != 4 || visited != 4) return 2;
  return 0;
}
