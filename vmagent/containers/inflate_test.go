//go:build linux

package containers

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"
)

func zip(t *testing.T, bytesIn int) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(make([]byte, bytesIn)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A node must not fill the disk of another by an image that is small on its way.
func TestImagesThatGrow(t *testing.T) {
	t.Parallel()
	const unit = 1 << 17 // two chunks, and little for the race detector
	const room = 10 * unit
	small, most, bomb := zip(t, unit), zip(t, 8*unit), zip(t, 64*unit)
	for name, tt := range map[string]struct {
		parts   []string
		refused bool
	}{
		"plain":         {parts: []string{"{}", "", strings.Repeat("x", unit)}},
		"compressed":    {parts: []string{small, small, most}},
		"a bomb":        {parts: []string{bomb}, refused: true},
		"many":          {parts: []string{most, most}, refused: true},
		"two in one":    {parts: []string{small + bomb}, refused: true},
		"cut":           {parts: []string{small[:len(small)-9]}, refused: true},
		"zstd":          {parts: []string{"\x28\xb5\x2f\xfd rest"}, refused: true},
		"xz":            {parts: []string{"\xfd7zXZ\x00 rest"}, refused: true},
		"bzip2":         {parts: []string{"BZh9 rest"}, refused: true},
		"looks alike":   {parts: []string{"\x1f\x8b\x08 no"}, refused: true},
		"short":         {parts: []string{"\x1f"}},
		"a little more": {parts: []string{small + "tail"}, refused: true},
	} {
		g := &gauge{room: room}
		var err error
		for _, part := range tt.parts {
			var out bytes.Buffer
			if err = g.copy(&out, strings.NewReader(part)); err != nil {
				break
			}
			if out.String() != part {
				t.Errorf("%s: another part comes out", name)
			}
		}
		if (err != nil) != tt.refused {
			t.Errorf("%s: %v, want refused: %v", name, err, tt.refused)
		}
		if name == "a bomb" && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, want ErrRefused", name, err)
		}
	}
}
