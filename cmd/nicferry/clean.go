package main

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// clean escapes what a terminal would act on or not show: control characters,
// bytes that are not UTF-8, and marks that turn the direction of text. Names
// and messages come from labels, DHCP servers and clouds.
func clean(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if strconv.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			b.WriteRune(r)
		} else {
			quoted := strconv.Quote(s[i : i+size])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		i += size
	}
	return b.String()
}

// cleanLines cleans a text that may have several lines.
func cleanLines(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.SplitSeq(s, "\n") {
			if !yield(clean(line)) {
				return
			}
		}
	}
}

// oneLine makes a message fit for a table.
func oneLine(s string) string {
	return clean(strings.ReplaceAll(strings.TrimSpace(s), "\n", "; "))
}

// cleanEncoded escapes the same in JSON, or in YAML where all such strings are
// in double quotes. It changes how a string is spelled and not what it says.
// Line ends stay.
func cleanEncoded(s string, escape func(rune) string) string {
	var b strings.Builder
	for _, r := range s {
		if r == '\n' || strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(escape(r))
		}
	}
	return b.String()
}

// jsonEscape spells a rune beyond 16 bits as two surrogates, as JSON has it.
func jsonEscape(r rune) string {
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

func yamlEscape(r rune) string { return fmt.Sprintf(`\U%08x`, r) }
