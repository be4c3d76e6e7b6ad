#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""rngcover.py SCHEMA DEFINE[=ELEMENT]... <FILES: what of a schema documents use.

Prints each element, attribute and attribute's word that a RELAX NG schema allows in
the DEFINEs, as "top parent/element", "top element@attribute" and "top
element@attribute=word", which none of the XML
documents, whose names are read from stdin, has there. ELEMENT: the top one, where
it has another name than its DEFINE.
"""
import os
import sys
import xml.etree.ElementTree as ET

RNG = '{http://relaxng.org/ns/structure/1.0}'


class Schema:
    def __init__(self, path):
        self.defines = {}
        self.load(path)

    def load(self, path):
        for node in ET.parse(path).getroot():
            if node.tag == RNG + 'include':
                self.load(os.path.join(os.path.dirname(path), node.get('href')))
            elif node.tag == RNG + 'define':
                self.defines.setdefault(node.get('name'), []).append(node)

    def values(self, node):
        """The words that may stand in an attribute."""
        if node.tag == RNG + 'value':
            yield (node.text or '').strip()
        below = self.defines[node.get('name')] if node.tag == RNG + 'ref' else node
        for child in below:
            if child.tag != RNG + 'except':
                yield from self.values(child)

    def below(self, define):
        out, seen = set(), set()
        todo = [(node, None) for node in self.defines[define]]
        while todo:
            node, parent = todo.pop()
            if (node, parent) in seen:
                continue
            seen.add((node, parent))
            tag, name = node.tag[len(RNG):], node.get('name')
            if tag == 'ref':
                todo += [(d, parent) for d in self.defines[name]]
                continue
            if tag == 'attribute' and name and parent:
                out.add('%s@%s' % (parent, name))
                out.update('%s@%s=%s' % (parent, name, value)
                           for value in self.values(node))
                continue
            if tag == 'element' and name:
                if parent:
                    out.add('%s/%s' % (parent, name))
                parent = name
            todo += [(child, parent) for child in node]
        return out


def used(root):
    """The same of a document."""
    for node in root.iter():
        for name, value in node.attrib.items():
            yield '%s@%s' % (node.tag, name)
            yield '%s@%s=%s' % (node.tag, name, value)
        yield from ('%s/%s' % (node.tag, child.tag) for child in node)


def main():
    schema = Schema(sys.argv[1])
    tops = {}
    for word in sys.argv[2:]:
        define, _, element = word.partition('=')
        top = element or define
        tops.setdefault(top, set()).update(schema.below(define))
    found = {top: set() for top in tops}
    for path in sys.stdin.read().split():
        root = ET.parse(path).getroot()
        for top, what in found.items():
            for node in root.iter(top):
                what.update(used(node))
    for top in sorted(tops):
        for what in sorted(tops[top] - found[top]):
            print(top, what)


main()
