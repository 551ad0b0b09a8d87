//go:build linux

package containers

import (
	"path/filepath"
	"testing"
)

// What cannot be looked into is written out with everything else.
func TestFlush(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, dir := range []string{dir, filepath.Join(dir, "elsewhere")} {
		if err := flush(dir); err != nil {
			t.Errorf("flush %s: %v", dir, err)
		}
	}
}
