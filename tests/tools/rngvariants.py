#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""rngvariants.py SCHEMA DEFINE[=FRAME]...: what a RELAX NG schema allows.

Prints instances of each DEFINE, one a line, that together use each element,
attribute and alternative below it: what is side by side is combined by taking
turns, not in every way. In FRAME, @ stands for their attributes, % for their
contents.
"""
import itertools
import os
import re
import sys
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

try:
    from re import _parser as sre
except ImportError:
    import sre_parse as sre

RNG = '{http://relaxng.org/ns/structure/1.0}'
DEPTH = 1  # so often a define may stand within itself
SAMPLES = {  # where the shortest text is not a sensible one
    'diskTargetDev': 'vda', 'absFilePath': '/a/b', 'filePath': '/a/b',
    'UUID': '43dc0cf8-809b-4adb-9bea-a9abb5f3d90e',
    'uniMacAddr': '52:54:00:aa:bb:cc', 'deviceName': 'eth0', 'dnsName': 'host',
    'ipAddr': '192.0.2.1', 'ipv4Addr': '192.0.2.1', 'ipv6Addr': '2001:db8::1',
    'addrIPorName': '192.0.2.1',
}
EMPTY = ({}, '')  # attributes, contents


def sample(tree):
    """A text that the parsed regular expression TREE matches."""
    out = ''
    for kind, what in tree:
        kind = str(kind)
        if kind == 'LITERAL':
            out += chr(what)
        elif kind == 'ANY':
            out += 'x'
        elif kind == 'NOT_LITERAL':
            out += 'x' if what != ord('x') else 'y'
        elif kind == 'IN':
            out += sample_class(what)
        elif kind in ('MAX_REPEAT', 'MIN_REPEAT'):
            out += sample(what[2]) * max(what[0], min(1, what[1]))
        elif kind == 'SUBPATTERN':
            out += sample(what[-1])
        elif kind == 'BRANCH':
            out += sample(what[1][0])
    return out


def sample_class(items):
    if str(items[0][0]) == 'NEGATE':
        text = ''.join(chr(c) for c in range(48, 123))
        bad = re.compile('[' + ''.join(
            re.escape(chr(w)) if str(k) == 'LITERAL' else
            '%s-%s' % (re.escape(chr(w[0])), re.escape(chr(w[1])))
            for k, w in items[1:] if str(k) in ('LITERAL', 'RANGE')) + ']')
        return next(c for c in text if not bad.match(c))
    kind, what = items[0]
    return {'LITERAL': lambda: chr(what), 'RANGE': lambda: chr(what[0]),
            'CATEGORY': lambda: '1'}[str(kind)]()


class Schema:
    def __init__(self, path):
        self.defines, self.within = {}, []
        self.load(path)

    def load(self, path):
        for node in ET.parse(path).getroot():
            if node.tag == RNG + 'include':
                self.load(os.path.join(os.path.dirname(path), node.get('href')))
            elif node.tag == RNG + 'define':
                self.defines.setdefault(node.get('name'), []).append(node)

    def ref(self, name):
        if name in SAMPLES:
            return [({}, SAMPLES[name])]
        if self.within.count(name) >= DEPTH:
            return []
        self.within.append(name)
        # Where there are several, as combine="choice" says.
        out = list(itertools.chain(*map(self.group, self.defines[name])))
        self.within.pop()
        return out

    def group(self, nodes):
        """Side by side: the variants of each take turns."""
        all_of = [self.variants(n) for n in nodes if n.tag != RNG + 'name']
        if not all(all_of):
            return []
        out = []
        for k in range(max(map(len, all_of), default=1)):
            attributes, contents = {}, ''
            for one in all_of:
                more, text = one[k % len(one)]
                attributes.update(more)
                contents += text
            out.append((attributes, contents))
        return out

    def data(self, node):
        params = {p.get('name'): p.text for p in node.findall(RNG + 'param')}
        if 'pattern' in params:
            if re.fullmatch(params['pattern'], '1'):
                return '1'
            return sample(sre.parse(params['pattern']))
        if node.get('type') == 'dateTime':
            return '2026-11-23T04:00:00'
        if node.get('type') in ('string', 'token', 'anyURI', 'NCName'):
            return 'x' * max(1, int(params.get('minLength', 1)))
        return params.get('minInclusive', '1')

    def variants(self, node):
        tag = node.tag[len(RNG):]
        if tag == 'ref':
            return self.ref(node.get('name'))
        if tag == 'element':
            name = node.get('name')
            if name is None:  # any
                return [EMPTY]
            return [({}, '<%s%s>%s</%s>' % (name, ''.join(
                ' %s=%s' % (k, quoteattr(v)) for k, v in a.items()), c, name))
                    for a, c in self.group(node)]
        if tag == 'attribute':
            name = node.get('name')
            texts = [c for _, c in self.group(node)] if len(node) else ['x']
            return [({name: t.replace('&lt;', '<')}, '') for t in texts]
        if tag in ('optional', 'zeroOrMore'):
            return self.group(node) + [EMPTY]
        if tag == 'choice':
            return list(itertools.chain(*map(self.variants, node)))
        if tag in ('group', 'interleave', 'oneOrMore', 'mixed'):
            return self.group(node)
        if tag == 'value':
            return [({}, escape(node.text or ''))]
        if tag == 'data':
            return [({}, escape(self.data(node)))]
        if tag == 'text':
            return [({}, 'x')]
        if tag == 'list':
            return self.group(node)
        return [EMPTY] if tag == 'empty' else []


def main():
    schema = Schema(sys.argv[1])
    for name, _, frame in (word.partition('=') for word in sys.argv[2:]):
        for attributes, contents in schema.ref(name):
            text = (frame or '%').replace('@', ''.join(
                ' %s=%s' % (k, quoteattr(v)) for k, v in attributes.items()))
            print(text.replace('%', contents).replace('\n', ' '))


main()
