#include "edges.h"

#include <math.h>
#include <stdlib.h>

static int at(const unsigned char *picture, int width, int height, int column, int row) {
  column = column < 0 ? 0 : column >= width ? width - 1 : column;
  row = row < 0 ? 0 : row >= height ? height - 1 : row;
  return picture[row * width + column];
}

void edges(const unsigned char *picture, int width, int height, double *strengths) {
  for (int row = 0; row < height; row++) {
    for (int column = 0; column < width; column++) {
      int across = at(picture, width, height, column + 1, row) - at(picture, width, height, column - 1, row);
      int down = at(picture, width, height, column, row + 1) - at(picture, width, height, column, row - 1);
      strengths[row * width + column] = hypot(across, down);
    }
  }
}

int visit_edges(const unsigned char *picture, int width, int height, double least,
                edge_visitor visit) {
  double *strengths = malloc(sizeof(double) * width * height);
  if (!strengths) return 0;
  edges(picture, width, height, strengths);
  int count = 0;
  for (int i = 0; i < width * height; i++) {
    if (strengths[i] <= least) continue;
    count++;
    if (visit(i % width, i / width, strengths[i])) break;
  }
  free(strengths);
  return count;
}
