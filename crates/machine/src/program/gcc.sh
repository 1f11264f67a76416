# GCC's cc1: optimises a little program, behind a comment whose text the seed chooses.
(echo '/*'; seq $((seed % 1000)) $((seed % 1000 + $(about 200))); echo '*/') >tree.c
cat >>tree.c <<'C'
struct node { struct node *left, *right; int key; double value; };
static struct node *rotate(struct node *a) { struct node *b = a->left; a->left = b->right; b->right = a; return b; }
double sum(struct node *t) { return t ? t->value + sum(t->left) + sum(t->right) : 0; }
int find(struct node *t, int key) { while (t && t->key != key) t = key < t->key ? t->left : t->right; return t != 0; }
struct node *up(struct node *t, int key) { if (!t->left || t->key == key) return t; t->left = up(t->left, key); return rotate(t); }
void multiply(double *a, double *b, double *c, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double s = 0;
            for (int k = 0; k < n; k++)
                s += a[i * n + k] * b[k * n + j];
            c[i * n + j] = s;
        }
}
C
/usr/lib/gcc/aarch64-linux-gnu/12/cc1 -quiet -nostdinc -fpreprocessed -O2 tree.c -o tree.s
check cc1 029caae8ed859c2b7a86938cafdd00ca "$(md5 <tree.s)"
