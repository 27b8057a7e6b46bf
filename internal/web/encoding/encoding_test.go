package encoding_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/web/encoding"
)

// labels are those of the Encoding Standard, by the name of their encoding.
var labels = map[string]string{
	"utf-8":          "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
	"ibm866":         "866 cp866 csibm866 ibm866",
	"iso-8859-2":     "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
	"iso-8859-3":     "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3",
	"iso-8859-4":     "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4",
	"iso-8859-5":     "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988",
	"iso-8859-6":     "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
	"iso-8859-7":     "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7 iso_8859-7:1987 sun_eu_greek",
	"iso-8859-8":     "csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 visual",
	"iso-8859-8-i":   "csiso88598i iso-8859-8-i logical",
	"iso-8859-10":    "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
	"iso-8859-13":    "iso-8859-13 iso8859-13 iso885913",
	"iso-8859-14":    "iso-8859-14 iso8859-14 iso885914",
	"iso-8859-15":    "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
	"iso-8859-16":    "iso-8859-16",
	"koi8-r":         "cskoi8r koi koi8 koi8-r koi8_r",
	"koi8-u":         "koi8-ru koi8-u",
	"macintosh":      "csmacintosh mac macintosh x-mac-roman",
	"windows-874":    "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
	"windows-1250":   "cp1250 windows-1250 x-cp1250",
	"windows-1251":   "cp1251 windows-1251 x-cp1251",
	"windows-1252":   "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252",
	"windows-1253":   "cp1253 windows-1253 x-cp1253",
	"windows-1254":   "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 windows-1254 x-cp1254",
	"windows-1255":   "cp1255 windows-1255 x-cp1255",
	"windows-1256":   "cp1256 windows-1256 x-cp1256",
	"windows-1257":   "cp1257 windows-1257 x-cp1257",
	"windows-1258":   "cp1258 windows-1258 x-cp1258",
	"x-mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
	"gbk":            "chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk",
	"gb18030":        "gb18030",
	"big5":           "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
	"euc-jp":         "cseucpkdfmtjapanese euc-jp x-euc-jp",
	"iso-2022-jp":    "csiso2022jp iso-2022-jp",
	"shift_jis":      "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
	"euc-kr":         "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949",
	"utf-16be":       "unicodefffe utf-16be",
	"utf-16le":       "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
	"x-user-defined": "x-user-defined",
	"":               "replacement csiso2022kr hz-gb-2312 iso-2022-cn iso-2022-cn-ext iso-2022-kr utf8-mac utf-32 binary",
}

func TestLabels(t *testing.T) {
	t.Parallel()
	for name, list := range labels {
		for label := range strings.FieldsSeq(list) {
			for _, spelled := range []string{label, strings.ToUpper(label), "\t\n\f\r " + label + " "} {
				d, err := encoding.New(spelled, false, false)
				if name == "" {
					require.ErrorIs(t, err, encoding.ErrLabel, label)
					continue
				}
				require.NoError(t, err, label)
				require.Equal(t, name, d.Name(), label)
			}
			for _, space := range []string{"\v", "\u00a0", "\u2028", "\x00"} {
				_, err := encoding.New(label+space, false, false)
				require.ErrorIs(t, err, encoding.ErrLabel, "%q", label+space)
			}
		}
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		label, bytes, want string
		malformed          bool
	}{
		{"utf-8", "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xa9", "aä€💩", false},
		{"utf-8", "\xef\xbb\xbfa\xef\xbb\xbf", "a\ufeff", false},
		{"utf-8", "\xef\xbf\xbd", "\ufffd", false},
		{"utf-8", "\xff", "\ufffd", true},
		{"utf-8", "\xc0\x80", "\ufffd\ufffd", true},
		{"utf-8", "\xed\xa0\x80", "\ufffd\ufffd\ufffd", true},
		{"utf-8", "\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd", true},
		{"utf-8", "\xf0\x9f\x92", "\ufffd", true},
		{"utf-8", "\xf0\x9f\x92a", "\ufffda", true},
		{"utf-16le", "\xff\xfea\x00\x3d\xd8\xa9\xdc", "a💩", false},
		{"utf-16be", "\xfe\xff\x00a\xd8\x3d\xdc\xa9", "a💩", false},
		{"utf-16be", "\xff\xfe", "\ufffe", false},
		{"utf-16le", "\x00\xd8a\x00", "\ufffda", true},
		{"utf-16le", "\x00\xdc", "\ufffd", true},
		{"utf-16le", "\x00\xd8", "\ufffd", true},
		{"utf-16le", "\x00\xd8\x00", "\ufffd", true},
		{"utf-16le", "a\x00b", "a\ufffd", true},
		{"latin1", "\xe4\x80\x81", "ä€\u0081", false},
		{"iso-8859-15", "\xa4\x80", "€\u0080", false},
		{"windows-1255", "\xd9", "\ufffd", true},
		{"koi8-u", "\xae\xbe", "ўЎ", false},
		{"x-user-defined", "a\x80\xff", "a\uf780\uf7ff", false},
		{"shift_jis", "\x82\xa0\xb1", "あｱ", false},
		{"euc-jp", "\xa4\xa2", "あ", false},
		{"iso-2022-jp", "\x1b$B\x24\x22\x1b(Ba", "あa", false},
		{"euc-kr", "\xb0\xa1", "가", false},
		{"big5", "\xa7\x41", "你", false},
		{"gbk", "\xc4\xe3\x80", "你€", false},
		{"gb18030", "\x81\x30\x81\x30", "\u0080", false},
		{"shift_jis", "\x82", "\ufffd", true},
		{"big5", "a\xff", "a\ufffd", true},
	}
	for _, test := range tests {
		d, err := encoding.New(test.label, false, false)
		require.NoError(t, err)
		got, err := d.Decode([]byte(test.bytes), false)
		require.NoError(t, err)
		require.Equal(t, test.want, got, "%s %q", test.label, test.bytes)

		// In chunks of any size it is the same.
		for size := 1; size < len(test.bytes); size++ {
			var parts strings.Builder
			for i := 0; i < len(test.bytes); i += size {
				part, err := d.Decode([]byte(test.bytes[i:min(i+size, len(test.bytes))]), true)
				require.NoError(t, err)
				parts.WriteString(part)
			}
			part, err := d.Decode(nil, false)
			require.NoError(t, err)
			require.Equal(t, test.want, parts.String()+part, "%s %q by %d", test.label, test.bytes, size)
		}

		fatal, err := encoding.New(test.label, true, false)
		require.NoError(t, err)
		got, err = fatal.Decode([]byte(test.bytes), false)
		if test.malformed {
			require.ErrorIs(t, err, encoding.ErrMalformed, "%s %q", test.label, test.bytes)
		} else {
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		}
		got, err = fatal.Decode([]byte("a\x00"), false) // an error leaves nothing behind
		require.NoError(t, err)
		require.Contains(t, []string{"a\x00", "a", "\u6100"}, got)
	}
}

func TestIgnoreBOM(t *testing.T) {
	t.Parallel()
	for label, mark := range map[string]string{"utf-8": "\xef\xbb\xbf", "utf-16le": "\xff\xfe", "utf-16be": "\xfe\xff"} {
		for ignore, want := range map[bool]string{false: "", true: "\ufeff"} {
			d, err := encoding.New(label, true, ignore)
			require.NoError(t, err)
			require.Equal(t, []any{ignore, true}, []any{d.IgnoreBOM(), d.Fatal()})
			for range 2 { // a second text begins anew
				got, err := d.Decode([]byte(mark), false)
				require.NoError(t, err)
				require.Equal(t, want, got, label)
			}
		}
	}
}

func TestEncodeInto(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text          string
		size          int
		read, written int
	}{
		{"", 3, 0, 0}, {"abc", 0, 0, 0}, {"abc", 2, 2, 2}, {"abc", 9, 3, 3},
		{"äb", 1, 0, 0}, {"äb", 2, 1, 2}, {"💩b", 3, 0, 0}, {"💩b", 4, 2, 4}, {"a💩", 4, 1, 1},
	}
	for _, test := range tests {
		dst := make([]byte, test.size)
		read, written := encoding.EncodeInto(dst, test.text)
		require.Equal(t, []int{test.read, test.written}, []int{read, written}, "%q in %d", test.text, test.size)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("utf-8", []byte("\xf0\x9f\x92a"), 2)
	f.Add("gb18030", []byte("\x81\x30\x81\x30"), 1)
	f.Add("iso-2022-jp", []byte("\x1b$B\x24\x22\x1b(B"), 3)
	f.Add("utf-16le", []byte("\x00\xd8\x00"), 1)
	f.Fuzz(func(t *testing.T, label string, text []byte, size int) {
		d, err := encoding.New(label, false, false)
		if err != nil || size < 1 {
			return
		}
		got, err := d.Decode(text, false)
		require.NoError(t, err)
		require.True(t, utf8.ValidString(got))
		for i := 0; i < len(text); i += size {
			part, err := d.Decode(text[i:min(i+size, len(text))], true)
			require.NoError(t, err)
			require.True(t, utf8.ValidString(part))
		}
	})
}
