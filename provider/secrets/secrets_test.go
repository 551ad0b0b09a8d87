package secrets

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestStrike(t *testing.T) {
	w := New(regexp.MustCompile(`Signature=[^\s&]+`))
	w.Learn("AK1", "s/3+cr3t", "")
	for text, want := range map[string]string{
		"nothing of that":                  "nothing of that",
		"by AK1 with s/3+cr3t":             "by [credential] with [credential]",
		"?Key=s%2F3%2Bcr3t&Signature=a%3D": "?Key=[credential]&[signed]",
	} {
		if got := w.Strike(text); got != want {
			t.Errorf("%q: %q; want %q", text, got, want)
		}
	}
	if long := w.Strike(strings.Repeat("ä", 1000)); len(long) > maxSaid+len("…") || !utf8.ValidString(long) {
		t.Errorf("%d bytes are left", len(long))
	}
	for range maxKnown { // which is nothing new, and takes no older one's place
		w.Learn("AK2", "AK2", "token 2")
	}
	if got := w.Strike("AK1 AK2 token+2"); got != "[credential] [credential] [credential]" {
		t.Error(got)
	}
}
