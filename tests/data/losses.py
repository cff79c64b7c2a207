#!/usr/bin/env python3
"""Reference values of losses in float64, plain Python, written from their definitions: prints
losses_golden.inc. Gradients by central differences, of the components x[0][0] and x[5][2].

    python3 losses.py > losses_golden.inc
"""
import math

X = [[.9, .1, -.3, .2], [.7, .4, -.1, .3], [-.2, .8, .5, .1], [.1, .9, .3, -.4],
     [.8, -.2, -.4, .5], [.3, .6, -.5, .2], [-.5, .7, .6, .3], [.2, .5, .9, -.6]]
STRETCHED = [[p * q for p, q in zip(x, (1.01, .97, 1.03, .94))] for x in X]  # no ties
GROUP = [0, 0, 1, 1, 0, 2, 1, 2]
CONTENT = [0, 1, 2, 3, 4, 5, 6, 7]


def dot(a, b):
    return sum(p * q for p, q in zip(a, b))


def cos(a, b):
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


DISTANCE = {
    'cosine': lambda a, b: 1 - cos(a, b),
    'euclidean': math.dist,
    'manhattan': lambda a, b: sum(abs(p - q) for p, q in zip(a, b)),
    'dot_product': lambda a, b: -dot(a, b),
}


def relu(z):
    return max(0., z)


def lse(v):
    m = max(v)
    return m + math.log(sum(math.exp(t - m) for t in v))


def alike(c, d, known):
    return c == d or (c, d) in known or (d, c) in known


def mnr(X, o, content, score, subgroup, known):
    n = len(score)

    def candidate(i, j):
        a, b = content[i], content[n + j]
        if i == j:
            return True
        batch = [k for k in range(n) if content[k] == a and content[n + k] == b]
        if alike(a, b, known) or any(score[k] > .5 for k in batch):
            return False
        return any(score[k] <= .5 for k in batch) or not subgroup or subgroup[i] != subgroup[j]

    s = [[o['scale'] * cos(X[i], X[n + j]) for j in range(n)] for i in range(n)]
    rows = cols = 0
    anchors = [i for i in range(n) if score[i] > .5]
    for i in anchors:
        rows += lse([s[i][j] for j in range(n) if candidate(i, j)]) - s[i][i]
        cols += lse([s[j][i] for j in range(n) if candidate(j, i)]) - s[i][i]
    return (rows + cols) / 2 / len(anchors) if o.get('symmetric') else rows / len(anchors)


def contrastive(X, o, content, score, subgroup, known):
    n, D, m = len(score), DISTANCE[o.get('distance', 'cosine')], o.get('margin', .5)
    total = 0
    for i in range(n):
        d = D(X[i], X[n + i])
        total += score[i] * d * d + (1 - score[i]) * relu(m - d)**2
    for i in range(2 * n) if subgroup else ():
        other = [D(X[i], X[j]) for j in range(2 * n) if subgroup[i % n] != subgroup[j % n]
                 and not alike(content[i], content[j], known)]
        total += relu(m - min(other))**2 if other else 0
    return total / 2 / (n if o.get('size_average', 1) else 1)


def triplet(X, o, content, group):
    N, D, m = len(X), DISTANCE[o.get('distance', 'cosine')], o.get('margin', .5)
    terms, near = [], []
    for i in range(N):
        P = [D(X[i], X[j]) for j in range(N) if j != i and group[j] == group[i]]
        Q = [D(X[i], X[j]) for j in range(N) if group[j] != group[i] and content[j] != content[i]]
        if not P or not Q:
            continue
        mining = o.get('mining', 'hard')
        if mining == 'hard':
            terms.append(max(P) - min(Q))
            near.append(min(Q))
        elif mining == 'all':
            terms += [p - q + m for p in P for q in Q if p - q + m > 0]
        else:
            for p in P:
                far = [q for q in Q if q > p]
                terms.append(relu(p - (min(far) if far else max(Q)) + m))
    if not terms:
        return 0.
    if o.get('soft'):
        terms = [math.log1p(math.exp(z)) for z in terms]
    elif o.get('mining', 'hard') == 'hard':
        mean = max(1e-6, sum(near) / len(near))
        terms = [relu(z / mean + m) for z in terms]
    return sum(terms) / len(terms)


def gradient(f, X, i, k, h=1e-6):
    A, B = [r[:] for r in X], [r[:] for r in X]
    A[i][k] += h
    B[i][k] -= h
    return (f(A) - f(B)) / (2 * h)


def numbers(values):
    return '{' + ', '.join(str(v) for v in values) + '}'


def emit(name, loss, o, f, fields):
    x = STRETCHED if 'distance' in o else X
    fields += [('stretched', 'true')] if 'distance' in o else []
    options = ', '.join('{"%s", "%s"}' % (k, str(v)) for k, v in o.items())
    print('    {.name = "%s",\n     .loss = &ak_loss_%s,\n     .options = {%s},' % (name, loss, options or '{0}'))
    for key, value in fields:
        print('     .%s = %s,' % (key, value))
    print('     .value = %.12f,\n     .gradient = {%.9f, %.9f}},' % (f(x), gradient(f, x, 0, 0), gradient(f, x, 5, 2)))


def pairs(name, loss, o, content=CONTENT, score=(1, 1, 1, 1), subgroup=None, known=()):
    f = {'multiple_negatives_ranking': mnr, 'contrastive': contrastive}[loss]
    full = dict({'scale': 20}, **o) if f is mnr else o
    fields = [('content', numbers(content)), ('score', numbers(score))]
    if subgroup:
        fields += [('has_subgroup', 'true'), ('subgroup', numbers(subgroup))]
    if known:
        fields += [('known', numbers(numbers(p) for p in known)), ('known_count', len(known))]
    emit(name, loss, o, lambda x: f(x, full, content, score, subgroup, known), fields)


def groups(name, o, content=CONTENT, group=GROUP):
    emit(name, 'triplet', o, lambda x: triplet(x, o, content, group),
         [('content', numbers(content)), ('group', numbers(group))])


print('/* Made by losses.py: do not edit. */')
MNR, SYM = 'multiple_negatives_ranking', {'symmetric': 1}
pairs('ranking', MNR, {})
pairs('ranking, symmetric', MNR, SYM)
pairs('ranking, scale 10', MNR, {'scale': 10})
pairs('ranking, scale 100', MNR, {'scale': 100})
pairs('ranking, scale 100, symmetric', MNR, {'scale': 100, 'symmetric': 1})
for o, name in (({}, 'ranking, '), (SYM, 'symmetric, '), ({'scale': 50, 'symmetric': 1}, 'split, ')):
    pairs(name + 'known positive', MNR, o, known=[(0, 6), (7, 1)])
    pairs(name + 'equal b', MNR, o, content=[0, 1, 2, 3, 4, 5, 4, 7])
    pairs(name + 'equal a', MNR, o, content=[0, 1, 0, 3, 4, 5, 6, 7])
    pairs(name + 'b equals another a', MNR, o, content=[0, 1, 2, 3, 4, 0, 6, 1])
    pairs(name + 'explicit negatives', MNR, o, score=(1, 0, .9, .5))
    pairs(name + 'subgroups', MNR, o, subgroup=(1, 1, 2, 3))
    pairs(name + 'explicit inside a subgroup', MNR, o, content=[0, 0, 2, 0, 4, 5, 6, 5],
          score=(1, 0, 1, 1), subgroup=(1, 1, 1, 2))
    pairs(name + 'negative b elsewhere', MNR, o, content=[0, 0, 2, 3, 4, 5, 5, 7],
          score=(1, 0, 1, 1), subgroup=(1, 1, 1, 1))
pairs('contrastive', 'contrastive', {}, score=(1, 0, 1, 0))
pairs('contrastive, score between', 'contrastive', {}, score=(.7, .2, 1, 0))
for d in DISTANCE:
    m = -.2 if d == 'dot_product' else {'cosine': .5, 'euclidean': 1, 'manhattan': 2}[d]
    o = {'distance': d, 'margin': m} if m > 0 else {'distance': d}
    pairs('contrastive, ' + d, 'contrastive', o, score=(1, 0, 1, 0), subgroup=(1, 1, 2, 2))
    pairs('contrastive, sum, ' + d, 'contrastive', dict(o, size_average=0), score=(1, 0, 1, 0),
          content=[0, 1, 2, 1, 4, 5, 6, 7], subgroup=(1, 1, 2, 3), known=[(0, 6), (5, 7)])
    for name, mining in (('hard', {}), ('hard, soft', {'soft': 1}),
                         ('semi_hard', {'mining': 'semi_hard'}), ('all', {'mining': 'all'})):
        if d == 'dot_product' and name == 'hard':
            continue
        o = dict(mining, distance=d)
        groups('triplet %s, %s' % (name, d), o)
        groups('triplet %s, equal contents, %s' % (name, d), o, content=[0, 1, 2, 3, 4, 1, 0, 7])
groups('triplet all, margin 2', {'mining': 'all', 'margin': 2})
groups('triplet semi_hard, margin 0', {'mining': 'semi_hard', 'margin': 0})
