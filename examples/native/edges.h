#ifndef EDGES_H
#define EDGES_H

/* How strongly brightness changes around each point of a picture of `width` by `height` bytes. */
void edges(const unsigned char *picture, int width, int height, double *strengths);

/* Calls `visit` with column, row and strength of each point whose strength is above `least`;
   returns how many there were. `visit` returns 0 to go on. */
typedef int (*edge_visitor)(int column, int row, double strength);
int visit_edges(const unsigned char *picture, int width, int height, double least,
                edge_visitor visit);

#endif
