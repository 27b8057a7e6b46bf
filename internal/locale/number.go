package locale

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"
)

// A format says how a locale writes numbers in a style.
type format struct {
	prefix, suffix                 string // of a number, such as "" and "%"
	negativePrefix, negativeSuffix string
	point, group                   string
	primary, secondary             int // digits of the last group, and of the groups before it; 0: no groups
	minGrouped                     int // minimum of digits before the first separator
	zero                           rune
	nan, infinity                  string
}

// formats caches the format that was used last, because finding one takes longer
// than writing a number.
type formats struct {
	tag     language.Tag
	percent bool
	format  *format
}

func (l *formats) of(tag language.Tag, percent bool) *format {
	if l.format == nil || l.tag != tag || l.percent != percent {
		f := newFormat(tag, percent)
		*l = formats{tag, percent, &f}
	}
	return l.format
}

// newFormat finds the format of a locale by looking at numbers that
// golang.org/x/text has written. The package does not write decimals of arbitrary
// length itself.
func newFormat(tag language.Tag, percent bool) format {
	printer := message.NewPrinter(tag)
	style, shift := number.Decimal, 1.0
	if percent {
		style, shift = number.Percent, 100
	}
	sprint := func(x float64) string { return printer.Sprint(style(x, number.Scale(1))) }

	positive, negative := sprint(1234567890.5/shift), sprint(-1234567890.5/shift)
	f := format{
		minGrouped: minGrouped(tag),
		nan:        printer.Sprint(number.Decimal(math.NaN())),
		infinity:   printer.Sprint(number.Decimal(math.Inf(1))),
	}
	var seps []string // before each digit
	f.prefix, seps, f.suffix = split(positive)
	f.negativePrefix, _, f.negativeSuffix = split(negative)
	first, _ := utf8.DecodeRuneInString(positive[len(f.prefix):])
	f.zero = first - 1

	f.point = seps[len(seps)-1]
	seps = seps[:len(seps)-1] // of the ten digits before the point
	for i := len(seps) - 1; i > 0; i-- {
		switch {
		case seps[i] == "":
		case f.primary == 0:
			f.group, f.primary = seps[i], len(seps)-i
		case f.secondary == 0:
			f.secondary = len(seps) - i - f.primary
		}
	}
	if f.secondary == 0 {
		f.secondary = f.primary
	}
	return f
}

// minGrouped is the minimum of digits before the first separator: some languages
// write 1234, but 12.345.
func minGrouped(tag language.Tag) int {
	base, _ := tag.Base()
	region, _ := tag.Region()
	switch base.String() {
	case "es", "it", "pl":
		return 2
	case "pt":
		if region.String() != "BR" {
			return 2
		}
	}
	return 1
}

// split splits a number at its digits.
func split(s string) (prefix string, seps []string, suffix string) {
	end := 0
	for i, c := range s {
		if unicode.IsDigit(c) {
			seps = append(seps, s[end:i])
			end = i + utf8.RuneLen(c)
		}
	}
	prefix, seps[0] = seps[0], ""
	return prefix, seps, s[end:]
}

// A decimal is 0.digits × 10^exp.
type decimal struct {
	negative bool
	digits   []byte // '0' to '9', without zeros at either end
	exp      int
}

// floatDecimal is the shortest decimal that is read as x, as in browsers.
func floatDecimal(x float64) decimal {
	text := strconv.FormatFloat(x, 'e', -1, 64)
	text, negative := strings.CutPrefix(text, "-")
	mantissa, exponent, _ := strings.Cut(text, "e")
	exp, _ := strconv.Atoi(exponent)
	d := decimal{negative, []byte(strings.Replace(mantissa, ".", "", 1)), exp + 1}
	d.trim()
	return d
}

func bigDecimal(x *big.Int) decimal {
	text, negative := strings.CutPrefix(x.String(), "-")
	d := decimal{negative, []byte(text), len(text)}
	d.trim()
	return d
}

func (d *decimal) trim() {
	for len(d.digits) > 0 && d.digits[len(d.digits)-1] == '0' {
		d.digits = d.digits[:len(d.digits)-1]
	}
	if len(d.digits) == 0 || d.digits[0] == '0' {
		d.digits, d.exp = nil, 0
	}
}

// round keeps the first n digits. It rounds a half away from zero.
func (d *decimal) round(n int) {
	if n >= len(d.digits) {
		return
	}
	up := n >= 0 && d.digits[n] >= '5'
	d.digits = d.digits[:max(n, 0)]
	if up {
		i := len(d.digits) - 1
		for ; i >= 0 && d.digits[i] == '9'; i-- {
		}
		if i < 0 {
			d.digits = []byte{'1'}
			d.exp++
			return
		}
		d.digits = d.digits[:i+1]
		d.digits[i]++
	}
	d.trim()
}

// digits limits the digits of a number.
type digits struct {
	minInteger, minFraction, maxFraction int
	minSignificant, maxSignificant       int // if not 0, used instead of those of the fraction
	grouped                              bool
}

// text writes the number.
func (f *format) text(d decimal, want digits) string {
	minFraction := want.minFraction
	if want.maxSignificant > 0 {
		d.round(want.maxSignificant)
		minFraction = max(0, want.minSignificant-d.exp)
		if len(d.digits) == 0 {
			minFraction = want.minSignificant - 1
		}
	} else {
		d.round(d.exp + want.maxFraction)
	}
	whole, fraction := d.digits[:min(max(d.exp, 0), len(d.digits))], d.digits[min(max(d.exp, 0), len(d.digits)):]
	wholes := max(d.exp, want.minInteger)
	leading := wholes - max(d.exp, 0)
	integer := slices.Concat(zeros(leading), whole, zeros(wholes-leading-len(whole)))
	if len(fraction) > 0 {
		fraction = slices.Concat(zeros(-d.exp), fraction)
	}
	fraction = slices.Concat(fraction, zeros(minFraction-len(fraction)))

	var b strings.Builder
	prefix, suffix := f.prefix, f.suffix
	if d.negative {
		prefix, suffix = f.negativePrefix, f.negativeSuffix
	}
	b.WriteString(prefix)
	grouped := want.grouped && f.primary > 0 && len(integer) >= f.primary+f.minGrouped
	for i, c := range integer {
		if rest := len(integer) - i; grouped && i > 0 && rest >= f.primary && (rest-f.primary)%f.secondary == 0 {
			b.WriteString(f.group)
		}
		b.WriteRune(f.zero + rune(c-'0'))
	}
	if len(fraction) > 0 {
		b.WriteString(f.point)
	}
	for _, c := range fraction {
		b.WriteRune(f.zero + rune(c-'0'))
	}
	b.WriteString(suffix)
	return b.String()
}

func zeros(n int) []byte { return []byte(strings.Repeat("0", max(n, 0))) }

// special writes a number without digits, such as NaN.
func (f *format) special(x float64) string {
	switch {
	case math.IsNaN(x):
		return f.nan
	case x < 0:
		return f.negativePrefix + f.infinity + f.negativeSuffix
	}
	return f.prefix + f.infinity + f.suffix
}
