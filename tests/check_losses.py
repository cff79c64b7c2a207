#!/usr/bin/env python3
"""Every loss that `akin list losses` shows has a section in docs/losses.md that says what a section
must say, and is named in a test; every section is a loss.

    check_losses.py AKIN SOURCE
"""
import glob
import re
import subprocess
import sys

akin, source = sys.argv[1:]
listed = subprocess.run([akin, 'list', 'losses'], stdout=subprocess.PIPE, check=True, text=True)
names = re.findall(r'^(\w+)', listed.stdout, re.M)
with open(source + '/docs/losses.md', encoding='utf-8') as file:
    sections = dict(re.findall(r'^## (\w+)\n(.*?)(?=^## |\Z)', file.read(), re.M | re.S))
tests = ''
for path in glob.glob(source + '/tests/test_losses*.c') + glob.glob(source + '/tests/data/losses*.inc'):
    with open(path, encoding='utf-8') as file:
        tests += file.read()

wrong = []
if len(names) < 3:
    wrong.append('akin list losses shows %d losses' % len(names))
for name in names:
    if name not in sections:
        wrong.append('docs/losses.md has no section "%s"' % name)
    for part in 'When:', 'Defaults:', 'Source:':
        if part not in sections.get(name, part):
            wrong.append('docs/losses.md, section "%s": no "%s"' % (name, part))
    if not re.search(r'&ak_loss_%s\b' % name, tests):
        wrong.append('no test names ak_loss_%s' % name)
wrong += ['docs/losses.md: "%s" is no loss' % name for name in sections if name not in names]
print('\n'.join(wrong))
sys.exit(bool(wrong))
