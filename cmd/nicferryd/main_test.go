package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/store/boltstore"
)

// F52: over a damaged store the controller does not start, says which file it
// is and what to do, and changes nothing. An empty file is damaged too: it is no
// reason to begin anew and take every NIC for nobody's.
func TestF52_ADamagedStoreIsRefused(t *testing.T) {
	t.Parallel()
	whole := filepath.Join(t.TempDir(), "whole.db")
	s, err := boltstore.Open(t.Context(), whole, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"empty": {}, "cut": good[:5000], "zeros": make([]byte, len(good))} {
		dir := t.TempDir()
		path := filepath.Join(dir, "store.db")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // of which it needs none
		err := serve(ctx, &conf.Controller{Store: path, Socket: filepath.Join(dir, "s")})
		cancel()
		if !errors.Is(err, boltstore.ErrDamaged) && !errors.Is(err, boltstore.ErrForeign) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != string(bad) {
			t.Errorf("%s: the file was changed: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "s")); err == nil {
			t.Errorf("%s: it serves", name)
		}
	}
}
