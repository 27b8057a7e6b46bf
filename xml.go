package callback

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// What parseXML accepts at most. The answers of web services stay far below;
// the depth bounds the recursion over a tree, here and in scripts.
const (
	maxXMLDepth = 256     // elements inside each other, the root being the first
	maxXMLNodes = 100_000 // elements, attributes and texts together
)

// xmlNode is an element. Names are kept as written, with their prefix: scripts
// ask for "soap:Body" and get back the markup they know.
type xmlNode struct {
	name     string
	attrs    []xmlAttr
	children []xmlChild // in document order, no two texts in a row
}

type xmlAttr struct {
	name, value string
}

// xmlChild is an element or, where node is nil, a text, which is never empty.
type xmlChild struct {
	node *xmlNode
	text string
}

// xmlGroup is all children of one name, in document order.
type xmlGroup struct {
	name  string
	nodes []*xmlNode
}

// parseXML reads a document into a tree.
//
// Comments, processing instructions and a DOCTYPE are dropped, whatever they
// declare: no external entity is fetched and no entity but XML's own five
// exists, so that the use of any other is an error. The declared encoding does
// not matter any more, since the text is already decoded.
//
// A text of nothing but white space is dropped beside elements, where it is
// indentation, as E4X did by default (ignoreWhitespace). It is kept where it is
// all that an element has: there it is the value.
func parseXML(text string) (*xmlNode, error) {
	decoder := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	decoder.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }

	var b xmlBuilder
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

// xmlBuilder makes a tree of raw tokens, and sees to what RawToken leaves
// unchecked: matching tags, a single root, attributes given twice.
type xmlBuilder struct {
	root    *xmlNode
	open    []*xmlNode // from the root down to the element being read
	text    []byte     // since the last tag; comments and CDATA bring it in pieces
	nodes   int
	doctype bool // seen
}

func (b *xmlBuilder) add(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return b.start(t)
	case xml.EndElement:
		return b.end(rawXMLName(t.Name))
	case xml.CharData:
		if len(b.open) > 0 {
			b.text = append(b.text, t...)
		} else if !isXMLSpace(t) {
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

func (b *xmlBuilder) start(t xml.StartElement) error {
	node := &xmlNode{name: rawXMLName(t.Name)}
	if b.root != nil && len(b.open) == 0 {
		return fmt.Errorf("second root element <%s>", node.name)
	}
	if len(b.open) == maxXMLDepth {
		return fmt.Errorf("more than %d levels of elements", maxXMLDepth)
	}
	if err := b.endText(true); err != nil {
		return err
	}
	if err := b.count(1 + len(t.Attr)); err != nil {
		return err
	}

	if len(t.Attr) > 0 {
		node.attrs = make([]xmlAttr, len(t.Attr))
		seen := make(map[string]bool, len(t.Attr))
		for i, a := range t.Attr {
			name := rawXMLName(a.Name)
			if seen[name] {
				return fmt.Errorf("attribute %s given twice in <%s>", name, node.name)
			}
			seen[name] = true
			node.attrs[i] = xmlAttr{name, a.Value}
		}
	}
	if b.root == nil {
		b.root = node
	} else {
		parent := b.open[len(b.open)-1]
		parent.children = append(parent.children, xmlChild{node: node})
	}
	b.open = append(b.open, node)
	return nil
}

func (b *xmlBuilder) end(name string) error {
	if len(b.open) == 0 {
		return fmt.Errorf("unexpected </%s>", name)
	}
	node := b.open[len(b.open)-1]
	if node.name != name {
		return fmt.Errorf("<%s> closed by </%s>", node.name, name)
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
func (b *xmlBuilder) finish() error {
	if len(b.open) > 0 {
		return fmt.Errorf("<%s> is not closed", b.open[len(b.open)-1].name)
	}
	if b.root == nil {
		return errors.New("no root element")
	}
	return nil
}

// endText gives the text since the last tag to the open element, or drops it
// if it is white space beside an element.
func (b *xmlBuilder) endText(besideElement bool) error {
	text := b.text
	b.text = b.text[:0]
	if len(text) == 0 || besideElement && isXMLSpace(text) {
		return nil
	}
	node := b.open[len(b.open)-1]
	node.children = append(node.children, xmlChild{text: string(text)})
	return b.count(1)
}

func (b *xmlBuilder) count(n int) error {
	if b.nodes += n; b.nodes > maxXMLNodes {
		return fmt.Errorf("more than %d elements, attributes and texts", maxXMLNodes)
	}
	return nil
}

// rawXMLName undoes what RawToken does to a name.
func rawXMLName(name xml.Name) string {
	if name.Space == "" {
		return name.Local
	}
	return name.Space + ":" + name.Local
}

// isXMLSpace reports whether text is nothing but what XML calls white space,
// which a no-break space, for one, is not.
func isXMLSpace(text []byte) bool {
	for _, c := range text {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
	}
	return true
}

// markup writes the element as compact XML: what a script's toXMLString gives.
func (n *xmlNode) markup() string {
	var s strings.Builder
	n.writeMarkup(&s)
	return s.String()
}

func (n *xmlNode) writeMarkup(s *strings.Builder) {
	s.WriteByte('<')
	s.WriteString(n.name)
	for _, a := range n.attrs {
		s.WriteByte(' ')
		s.WriteString(a.name)
		s.WriteString(`="`)
		xmlAttrEscaper.WriteString(s, a.value)
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
			xmlTextEscaper.WriteString(s, c.text)
		}
	}
	s.WriteString("</")
	s.WriteString(n.name)
	s.WriteByte('>')
}

// White space is escaped where a parser would otherwise change it: it reads a
// carriage return as a line feed, and in attributes all of it as blanks.
var (
	xmlTextEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")
	xmlAttrEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;",
		"\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;")
)

// text joins the texts of the element and of all elements in it: what a
// script's toString gives.
func (n *xmlNode) text() string {
	if len(n.children) == 1 && n.children[0].node == nil {
		return n.children[0].text
	}
	var s strings.Builder
	n.writeText(&s)
	return s.String()
}

func (n *xmlNode) writeText(s *strings.Builder) {
	for _, c := range n.children {
		if c.node != nil {
			c.node.writeText(s)
		} else {
			s.WriteString(c.text)
		}
	}
}

// groups gives the child elements by name, in the order in which the names
// first appear.
func (n *xmlNode) groups() []xmlGroup {
	var groups []xmlGroup
	index := make(map[string]int)
	for _, c := range n.children {
		if c.node == nil {
			continue
		}
		i, ok := index[c.node.name]
		if !ok {
			i = len(groups)
			index[c.node.name] = i
			groups = append(groups, xmlGroup{name: c.node.name})
		}
		groups[i].nodes = append(groups[i].nodes, c.node)
	}
	return groups
}
