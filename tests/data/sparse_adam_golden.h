/* Made by make_sparse_adam_golden.py. */
enum { SPARSE_ROWS = 7, SPARSE_COLUMNS = 3, SPARSE_STEPS = 6 };
/* Bags of each step: rows, -1 ends a bag, -2 a step. */
static const int sparse_bags[] = {0, 2, 2, -1, 5, -1, -2, 1, -1, -1, -2, 0, 1, 2, 3, -1, 3, -1, -2, 5, 5, -1, -2, 0, -1, 2, -1, -2, 2, 6, -1, 0, 1, -1, -2};
static const float sparse_table[] = {0.0534092113f, -0.1875f, -0.428409219f, 0.212171957f, 0.125f, 0.0378280506f, 0.648664474f, -0.375f, -0.586164474f, -0.170148388f, -0.0625f, 0.0451483876f, 0.0625f, 0.25f, -0.375f, 0.5909971f, -0.25f, -0.2784971f, -0.0597356036f, 0.0625f, 0.184735596f};
