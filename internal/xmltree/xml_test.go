package xmltree

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func mustParseXML(t *testing.T, text string) *Node {
	t.Helper()
	n, err := Parse(text)
	require.NoError(t, err)
	return n
}

func TestParseXMLTree(t *testing.T) {
	t.Parallel()
	text := func(s string) child { return child{text: s} }
	elem := func(n *Node) child { return child{node: n} }
	want := &Node{
		Name:  "soap:Envelope",
		Attrs: []Attr{{"xmlns:soap", "urn:s"}, {"id", "1 & 2"}},
		children: []child{
			elem(&Node{Name: "soap:Body", children: []child{
				text("before "),
				elem(&Node{Name: "b", children: []child{text("bold")}}),
				text(" after"),
				elem(&Node{Name: "empty"}),
			}}),
			elem(&Node{Name: "blank", children: []child{text(" \n ")}}),
		},
	}
	require.Equal(t, want, mustParseXML(t, `<?xml version="1.0"?>
		<soap:Envelope xmlns:soap="urn:s" id='1 &amp; 2'>
			<soap:Body>before <b>bold</b> after<empty/></soap:Body>
			<!-- a comment --> <?target of an instruction?>
			<blank> `+"\n"+` </blank>
		</soap:Envelope>
	`))
}

func TestXMLMarkupAndText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, markup, text string }{
		{"empty", `<a></a>`, `<a/>`, ""},
		{"text", `<a>b</a>`, `<a>b</a>`, "b"},
		{"text of descendants", `<a>1<b>2<c>3</c></b>4</a>`, `<a>1<b>2<c>3</c></b>4</a>`, "1234"},
		{"text is not trimmed", "<a>\n b </a>", "<a>\n b </a>", "\n b "},
		{"indentation goes", "<a>\n <b>1</b>\r\n\t<b>2</b> </a>", `<a><b>1</b><b>2</b></a>`, "12"},
		{"a blank value stays", `<a><b> </b></a>`, `<a><b> </b></a>`, " "},
		{"a no-break space is no white space", "<a>\u00a0<b/></a>", "<a>\u00a0<b/></a>", "\u00a0"},
		{"prefixes", `<p:a xmlns:p="u" p:x="1"><q:b/></p:a>`, `<p:a xmlns:p="u" p:x="1"><q:b/></p:a>`, ""},
		{"lone colons", `<:a b:="1"/>`, `<:a b:="1"/>`, ""},
		{"any alphabet", `<größe 単位="㎝">世界 🎮</größe>`, `<größe 単位="㎝">世界 🎮</größe>`, "世界 🎮"},
		{"XML's own entities", `<a>&lt;&gt;&amp;&quot;&apos;</a>`, `<a>&lt;&gt;&amp;"'</a>`, `<>&"'`},
		{"character references", `<a>&#x41;&#66;&#x1F3AE;</a>`, `<a>AB🎮</a>`, "AB🎮"},
		{"entities are not expanded twice", `<a>&amp;lt;</a>`, `<a>&amp;lt;</a>`, "&lt;"},
		{"attribute", `<a b='"&lt;&apos;>&amp;'/>`, `<a b="&quot;&lt;'>&amp;"/>`, ""},
		{"attribute white space", `<a b="&#9;&#10;&#13;"/>`, `<a b="&#x9;&#xA;&#xD;"/>`, ""},
		{"line ends", "<a>1\r\n2\r3&#13;</a>", "<a>1\n2\n3&#xD;</a>", "1\n2\n3\r"},
		{"CDATA", `<a><![CDATA[<b>&amp;</b>]]></a>`, `<a>&lt;b&gt;&amp;amp;&lt;/b&gt;</a>`, "<b>&amp;</b>"},
		{"end of CDATA in text", `<a>]]&gt;</a>`, `<a>]]&gt;</a>`, "]]>"},
		{"empty CDATA", `<a><![CDATA[]]></a>`, `<a/>`, ""},
		{"text in pieces", `<a>1<!-- -->2<![CDATA[3]]>4<?x?>5</a>`, `<a>12345</a>`, "12345"},
		{"white space in pieces", `<a> <!-- --> <b/> <![CDATA[ ]]></a>`, `<a><b/></a>`, ""},
		{"byte order mark", "\ufeff<?xml version='1.0'?><a/>", `<a/>`, ""},
		{"around the root", "\n<?xml version='1.0'?>\n<!-- --><a/>\n<!-- --><?x?>\n", `<a/>`, ""},
		{"a declared encoding is of the past", `<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>`, `<a>é</a>`, "é"},
		{"an encoding nobody knows", `<?xml version="1.0" encoding="x-none"?><a>é</a>`, `<a>é</a>`, "é"},
		{"DOCTYPE", `<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>`, `<a/>`, ""},
		{"DOCTYPE with declarations", `<!DOCTYPE a [<!ENTITY x "y">]><a/>`, `<a/>`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := mustParseXML(t, tt.in)
			require.Equal(t, tt.markup, n.Markup())
			require.Equal(t, tt.text, n.Text())
			require.Equal(t, n, mustParseXML(t, n.Markup()))
		})
	}
}

func TestParseXMLErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", "line 1: no root element"},
		{"\ufeff", "line 1: no root element"},
		{" \n<!-- -->", "line 2: no root element"},
		{"text", "line 1: text outside the root element"},
		{"\ufeff\ufeff<a/>", "line 1: text outside the root element"},
		{"<a/>text", "line 1: text outside the root element"},
		{"<a/>\n<![CDATA[text]]>", "line 2: text outside the root element"},
		{"<a/>\n<b/>", "line 2: second root element <b>"},
		{"<a>\n<b>", "line 2: <b> is not closed"},
		{"<a>\n<b></a>", "line 2: <b> closed by </a>"},
		{"<p:a></q:a>", "line 1: <p:a> closed by </q:a>"},
		{"<p:a></a>", "line 1: <p:a> closed by </a>"},
		{"<A></a>", "line 1: <A> closed by </a>"},
		{"<a/></a>", "line 1: unexpected </a>"},
		{"</a>", "line 1: unexpected </a>"},
		{"<a", "line 1: unexpected EOF"},
		{"<a b=1/>", "line 1: unquoted or missing attribute value in element"},
		{"<a b/>", "line 1: attribute name without = in element"},
		{"<a b='<'/>", "line 1: unescaped < inside quoted string"},
		{"<a b='1' c='2'\nb='1'/>", "line 2: attribute b given twice in <a>"},
		{"<a:b:c/>", "line 1: expected element name after <"},
		{"<1/>", "line 1: invalid XML name: 1"},
		{"<a>]]></a>", "line 1: unescaped ]]> not in CDATA section"},
		{"<a><![CDATA[</a>", "line 1: unexpected EOF in CDATA section"},
		{"<a><!-- -- --></a>", `line 1: invalid sequence "--" not allowed in comments`},
		{"<a>\x00</a>", "line 1: illegal character code U+0000"},
		{"<a>&#0;</a>", "line 1: illegal character code U+0000"},
		{"<a>\xff</a>", "line 1: invalid UTF-8"},
		{"<a>1 & 2</a>", "line 1: invalid character entity & (no semicolon)"},
		{"<a>&nbsp;</a>", "line 1: invalid character entity &nbsp;"},
		{"<a b='&x;'/>", "line 1: invalid character entity &x;"},
		{"<a>&#x110000;</a>", "line 1: invalid character entity &#x110000;"},
		{"<?xml version='1.1'?><a/>", `line 1: xml: unsupported version "1.1"; only version 1.0 is supported`},
		{"<!doctype html><html></html>", "line 1: misplaced <! declaration"},
		{"<!DOCTYPE a><!DOCTYPE a><a/>", "line 1: misplaced <! declaration"},
		{"<a><!DOCTYPE a></a>", "line 1: misplaced <! declaration"},
		{"<a/><!DOCTYPE a>", "line 1: misplaced <! declaration"},
		{"<!ENTITY x 'y'><a/>", "line 1: misplaced <! declaration"},
		{"<!DOCTYPE a [", "line 1: unexpected EOF"},
		{`{"json":true}`, "line 1: text outside the root element"},
	} {
		n, err := Parse(tt.in)
		require.Nil(t, n, "%q", tt.in)
		require.EqualError(t, err, "callback: invalid XML: "+tt.want, "%q", tt.in)
	}
}

// However long the names in a broken document, the message about it is short.
func TestParseXMLErrorLength(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 100_000)
	for _, in := range []string{
		"<" + long + ">",
		"<" + long + "></a>",
		"<a>&" + long + ";</a>",
		"<1" + long + "/>",
		"<?xml version='" + long + "'?>",
	} {
		_, err := Parse(in)
		require.Error(t, err)
		require.Less(t, utf8.RuneCountInString(err.Error()), 250)
	}
}

// Entities that a document declares stand for nothing here, so they can
// neither grow nor reach a file.
func TestParseXMLDeclaredEntities(t *testing.T) {
	t.Parallel()
	laughs := `<!DOCTYPE lolz [<!ENTITY lol "lol">`
	for i := range 10 {
		laughs += fmt.Sprintf(`<!ENTITY lol%d "%s">`, i+1, strings.Repeat("&lol;", 10))
	}
	for _, in := range []string{
		laughs + `]><lolz>&lol10;</lolz>`,
		`<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>`,
		`<!DOCTYPE a [<!ENTITY x "y">]><a b="&x;"/>`,
		`<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1/"> %x;]><a>&y;</a>`,
	} {
		_, err := Parse(in)
		require.ErrorContains(t, err, "invalid character entity")
	}
	require.Equal(t, "<lolz/>", mustParseXML(t, laughs+`]><lolz/>`).Markup())
	require.Equal(t, "<a>y</a>", mustParseXML(t, `<!DOCTYPE a [<!ENTITY amp "no"> <!ATTLIST a b CDATA "c">]><a>y</a>`).Markup())
}

func TestParseXMLDepthLimit(t *testing.T) {
	t.Parallel()
	nested := func(depth int) string {
		return strings.Repeat("<a>", depth) + "x" + strings.Repeat("</a>", depth)
	}
	n := mustParseXML(t, nested(maxDepth))
	require.Equal(t, nested(maxDepth), n.Markup())
	require.Equal(t, "x", n.Text())

	for _, in := range []string{
		nested(maxDepth + 1),
		strings.Repeat("<a>", maxDepth) + "<a/>",
		strings.Repeat("<a>", 1_000_000),
	} {
		_, err := Parse(in)
		require.EqualError(t, err, "callback: invalid XML: line 1: more than 256 levels of elements")
	}
}

func TestParseXMLNodeLimit(t *testing.T) {
	t.Parallel()
	attrs := func(n int) string {
		var s strings.Builder
		for i := range n {
			fmt.Fprintf(&s, " a%d=''", i)
		}
		return s.String()
	}
	for _, tt := range []struct {
		name      string
		max, over string
	}{
		{
			"elements",
			"<r>" + strings.Repeat("<a/>", maxNodes-1) + "</r>",
			"<r>" + strings.Repeat("<a/>", maxNodes) + "</r>",
		},
		{
			"attributes",
			"<r" + attrs(maxNodes-1) + "/>",
			"<r" + attrs(maxNodes) + "/>",
		},
		{
			"texts",
			"<r>" + strings.Repeat("<a>x</a>", maxNodes/2-1) + "x</r>",
			"<r>" + strings.Repeat("<a>x</a>", maxNodes/2) + "</r>",
		},
		{
			"a text before an element",
			"<r>" + strings.Repeat("<a/>", maxNodes-3) + "x<a/></r>",
			"<r>" + strings.Repeat("<a/>", maxNodes-1) + "x<a/></r>",
		},
		{
			"a last text",
			"<r>" + strings.Repeat("<a/>", maxNodes-2) + "x</r>",
			"<r>" + strings.Repeat("<a/>", maxNodes-1) + "x</r>",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(tt.max)
			require.NoError(t, err)
			_, err = Parse(tt.over)
			require.EqualError(t, err, "callback: invalid XML: line 1: more than 100000 elements, attributes and texts")
		})
	}
}

// A text that comes in very many pieces is put together once, not once per
// piece: doing the latter allocates some 20 GB here.
func TestParseXMLTextInPieces(t *testing.T) {
	const pieces = 200_000
	in := "<a>" + strings.Repeat("x<!---->", pieces) + "</a>"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := mustParseXML(t, in)
	runtime.ReadMemStats(&after)
	require.Len(t, n.Text(), pieces)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(200<<20))
}

func TestXMLGroups(t *testing.T) {
	t.Parallel()
	n := mustParseXML(t, `<r>text<b>1</b><a>2</a><b>3</b><p:b>4</p:b><B/>text<a>5</a></r>`)
	got := []string{}
	for _, g := range n.Groups() {
		s := g.Name
		for _, node := range g.Nodes {
			require.Equal(t, g.Name, node.Name)
			s += " " + node.Text()
		}
		got = append(got, s)
	}
	require.Equal(t, []string{"b 1 3", "a 2 5", "p:b 4", "B "}, got)

	require.Empty(t, mustParseXML(t, "<a>text</a>").Groups())
	require.Empty(t, mustParseXML(t, "<a/>").Groups())
}

func FuzzParseXML(f *testing.F) {
	for _, seed := range []string{
		`<a/>`,
		`<?xml version="1.0" encoding="UTF-16"?><a b="1" c='&#10;&quot;'>x<b/> y <![CDATA[<&]]></a>`,
		"\ufeff<p:a xmlns:p='u'>\r\n <p:b>&#13;]]&gt;</p:b> <p:b> </p:b></p:a>",
		`<!DOCTYPE a [<!ENTITY x "y"><!-- c -->]><a>&x;</a>`,
		`<a>1<!-- - -->2<?x y?>3</a>`,
		`<:a b:="">&#xD800;</:a>`,
		`<größe 単位="㎝">🎮</größe>`,
		`<a><b></a></b>`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := Parse(text)
		if err != nil {
			require.Nil(t, n)
			return
		}
		markup := n.Markup()
		again, err := Parse(markup)
		require.NoError(t, err, "%q", markup)
		require.Equal(t, n, again, "%q", markup)
		require.Equal(t, markup, again.Markup())
		require.Equal(t, n.Text(), again.Text())
		checkXMLTree(t, n)
	})
}

// checkXMLTree checks what the types promise.
func checkXMLTree(t *testing.T, n *Node) {
	elements, lastWasText := 0, false
	for _, c := range n.children {
		if c.node != nil {
			require.Empty(t, c.text)
			elements++
			checkXMLTree(t, c.node)
		} else {
			require.NotEmpty(t, c.text)
			require.False(t, lastWasText)
		}
		lastWasText = c.node == nil
	}
	for _, g := range n.Groups() {
		elements -= len(g.Nodes)
	}
	require.Zero(t, elements)
}

func BenchmarkXML(b *testing.B) {
	text := "<items>" + strings.Repeat(`<item id="1" kind="sword"><name>Excalibur</name><price>12</price></item>`, 100) + "</items>"
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := Parse(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("markup", func(b *testing.B) {
		n, err := Parse(text)
		require.NoError(b, err)
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			n.Markup()
		}
	})
}
