#ifndef SQUEEZE_FOLD_H
#define SQUEEZE_FOLD_H

/* Calls `step` with what it returned last, at first `start`, and each of `count` numbers. */
int fold(int (*step)(int, int), int start, const int *numbers, int count);

#endif
