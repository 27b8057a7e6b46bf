// Package xmltree reads XML into trees for scripts, and writes it.
package xmltree

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of what Parse accepts. Real documents stay far below them. The depth
// bounds the recursion over a tree, here and in scripts.
const (
	maxDepth = 256     // of nested elements; that of the root is 1
	maxNodes = 100_000 // elements, attributes and texts together
)

// Node is an element. Names are kept as written, with their prefix: scripts
// ask for "soap:Body" and get back the markup they know.
type Node struct {
	Name     string
	Attrs    []Attr
	children []child // in document order, no two texts in a row
}

type Attr struct {
	Name, Value string
}

// child is an element or, where node is nil, a text, which is never empty.
type child struct {
	node *Node
	text string
}

// Group is all children of one name, in document order.
type Group struct {
	Name  string
	Nodes []*Node
}

// Parse reads a document into a tree.
//
// Comments, processing instructions and a DOCTYPE are dropped, whatever they
// declare: no external entity is fetched and no entity but XML's own five
// exists, so that the use of any other is an error. The declared encoding does
// not matter any more, since the text is already decoded.
//
// A text of nothing but white space is dropped beside elements, where it is
// indentation, as E4X did by default (ignoreWhitespace). It is kept where it is
// all that an element has: there it is the value.
func Parse(text string) (*Node, error) {
	decoder := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	decoder.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }

	var b builder
	for {
		// Token would put a namespace's URL in the place of its prefix.
		token, err := decoder.RawToken()
		if err == io.EOF {
			if err = b.finish(); err == nil {
				return b.root, nil
			}
		}
		if err == nil {
			err = b.add(token)
		}
		if err != nil {
			line, _ := decoder.InputPos()
			if syntax := (*xml.SyntaxError)(nil); errors.As(err, &syntax) {
				err = errors.New(syntax.Msg)
			}
			// Messages quote names, and a name can be as long as the document.
			return nil, fmt.Errorf("callback: invalid XML: line %d: %.200s", line, err)
		}
	}
}

// builder makes a tree of raw tokens. It checks what RawToken does not: matching
// tags, a single root, attributes given twice.
type builder struct {
	root    *Node
	open    []*Node // from the root down to the element being read
	text    []byte  // since the last tag; comments and CDATA bring it in pieces
	nodes   int
	doctype bool // seen
}

func (b *builder) add(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return b.start(t)
	case xml.EndElement:
		return b.end(rawName(t.Name))
	case xml.CharData:
		if len(b.open) > 0 {
			b.text = append(b.text, t...)
		} else if !isSpace(t) {
			return errors.New("text outside the root element")
		}
	case xml.Directive:
		if b.doctype || b.root != nil || !bytes.HasPrefix(t, []byte("DOCTYPE")) {
			return errors.New("misplaced <! declaration")
		}
		b.doctype = true
	}
	return nil
}

func (b *builder) start(t xml.StartElement) error {
	node := &Node{Name: rawName(t.Name)}
	if b.root != nil && len(b.open) == 0 {
		return fmt.Errorf("second root element <%s>", node.Name)
	}
	if len(b.open) == maxDepth {
		return fmt.Errorf("more than %d levels of elements", maxDepth)
	}
	if err := b.endText(true); err != nil {
		return err
	}
	if err := b.count(1 + len(t.Attr)); err != nil {
		return err
	}

	if len(t.Attr) > 0 {
		node.Attrs = make([]Attr, len(t.Attr))
		seen := make(map[string]bool, len(t.Attr))
		for i, a := range t.Attr {
			name := rawName(a.Name)
			if seen[name] {
				return fmt.Errorf("attribute %s given twice in <%s>", name, node.Name)
			}
			seen[name] = true
			node.Attrs[i] = Attr{name, a.Value}
		}
	}
	if b.root == nil {
		b.root = node
	} else {
		parent := b.open[len(b.open)-1]
		parent.children = append(parent.children, child{node: node})
	}
	b.open = append(b.open, node)
	return nil
}

func (b *builder) end(name string) error {
	if len(b.open) == 0 {
		return fmt.Errorf("unexpected </%s>", name)
	}
	node := b.open[len(b.open)-1]
	if node.Name != name {
		return fmt.Errorf("<%s> closed by </%s>", node.Name, name)
	}
	// The element's earlier texts each stand before a child element: if there
	// are children, some are elements.
	if err := b.endText(len(node.children) > 0); err != nil {
		return err
	}
	b.open = b.open[:len(b.open)-1]
	return nil
}

// finish is called at the end of the input.
func (b *builder) finish() error {
	if len(b.open) > 0 {
		return fmt.Errorf("<%s> is not closed", b.open[len(b.open)-1].Name)
	}
	if b.root == nil {
		return errors.New("no root element")
	}
	return nil
}

// endText adds the text since the last tag to the open element, or drops it if it
// is white space beside an element.
func (b *builder) endText(besideElement bool) error {
	text := b.text
	b.text = b.text[:0]
	if len(text) == 0 || besideElement && isSpace(text) {
		return nil
	}
	node := b.open[len(b.open)-1]
	node.children = append(node.children, child{text: string(text)})
	return b.count(1)
}

func (b *builder) count(n int) error {
	if b.nodes += n; b.nodes > maxNodes {
		return fmt.Errorf("more than %d elements, attributes and texts", maxNodes)
	}
	return nil
}

// rawName returns a name as the document has it: RawToken splits it.
func rawName(name xml.Name) string {
	if name.Space == "" {
		return name.Local
	}
	return name.Space + ":" + name.Local
}

// isSpace reports whether text consists of XML's white space only. A no-break space
// is not among it.
func isSpace(text []byte) bool {
	for _, c := range text {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
	}
	return true
}

// Markup writes the element as compact XML: what a script's toXMLString gives.
func (n *Node) Markup() string {
	var s strings.Builder
	n.writeMarkup(&s)
	return s.String()
}

func (n *Node) writeMarkup(s *strings.Builder) {
	s.WriteByte('<')
	s.WriteString(n.Name)
	for _, a := range n.Attrs {
		s.WriteByte(' ')
		s.WriteString(a.Name)
		s.WriteString(`="`)
		attrEscaper.WriteString(s, a.Value)
		s.WriteByte('"')
	}
	if len(n.children) == 0 {
		s.WriteString("/>")
		return
	}
	s.WriteByte('>')
	for _, c := range n.children {
		if c.node != nil {
			c.node.writeMarkup(s)
		} else {
			textEscaper.WriteString(s, c.text)
		}
	}
	s.WriteString("</")
	s.WriteString(n.Name)
	s.WriteByte('>')
}

// White space is escaped where a parser would otherwise change it: it reads a
// carriage return as a line feed, and in attributes all of it as blanks.
var (
	textEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")
	attrEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;",
		"\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;")
)

// Text joins the texts of the element and of all elements in it: what a
// script's toString gives.
func (n *Node) Text() string {
	if len(n.children) == 1 && n.children[0].node == nil {
		return n.children[0].text
	}
	var s strings.Builder
	n.writeText(&s)
	return s.String()
}

func (n *Node) writeText(s *strings.Builder) {
	for _, c := range n.children {
		if c.node != nil {
			c.node.writeText(s)
		} else {
			s.WriteString(c.text)
		}
	}
}

// Groups returns the child elements by name, in the order in which the names
// first appear.
func (n *Node) Groups() []Group {
	var groups []Group
	index := make(map[string]int)
	for _, c := range n.children {
		if c.node == nil {
			continue
		}
		i, ok := index[c.node.Name]
		if !ok {
			i = len(groups)
			index[c.node.Name] = i
			groups = append(groups, Group{Name: c.node.Name})
		}
		groups[i].Nodes = append(groups[i].Nodes, c.node)
	}
	return groups
}
