//go:build linux

package packages

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// Whoever builds the same commit must get the same bytes.
func TestPackagesAreReproducible(t *testing.T) {
	first := built(t)
	again := filepath.Join(t.TempDir(), "again")
	makeDeb(t, again)
	sums := sumsOf(t, first)
	if len(sums) != len(all) {
		t.Errorf("there are %v, want %d packages", sums, len(all))
	}
	if now := sumsOf(t, again); !maps.Equal(now, sums) {
		t.Errorf("the packages are %v, and were %v", now, sums)
	}
}

// sumsOf are the sums of the packages in a folder, by name.
func sumsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sums[filepath.Base(file)] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return sums
}
