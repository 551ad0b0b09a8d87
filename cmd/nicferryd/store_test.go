package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
)

// runStore runs "nicferryd store" and returns what it says.
func runStore(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append([]string{"store"}, args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// A store is backed up while it is open, loses a record, and is restored.
func TestStoreCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "nicferry.db"), filepath.Join(dir, "backup.db")
	s, err := boltstore.Open(t.Context(), path, boltstore.Options{Backups: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rev, err := s.Commit(t.Context(), store.Create("nic/1", []byte("{}")))
	if err != nil {
		t.Fatal(err)
	}
	step := func(want string, args ...string) {
		t.Helper()
		if out, err := runStore(t, args...); err != nil || !strings.Contains(out, want) {
			t.Errorf("store %q says %q, %v; want %q", args, out, err, want)
		}
	}
	step("1 records of the running nicferryd at revision 1", "backup", "--store", path, backup)
	step("1 records at revision 1", "verify", backup)
	step("of the running nicferryd", "verify", "--store", path)
	if _, err := s.Commit(t.Context(), store.Delete("nic/1", rev)); err != nil {
		t.Fatal(err)
	}
	if _, err := runStore(t, "restore", "--store", path, backup); !errors.Is(err, boltstore.ErrInUse) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("restore while it is open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	step("0 records at revision 2", "verify", "--store", path)
	step("restored from", "restore", "--store", path, backup)
	out, err := runStore(t, "verify", "-o", "json", path)
	var sum boltstore.Summary
	if err = errors.Join(err, json.Unmarshal([]byte(out), &sum)); err != nil || sum.Records != 1 || sum.Revision != 1 || sum.File != path {
		t.Errorf("verify says %q, %v", out, err)
	}
}

func TestStoreCommandsRefuse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "nicferryd.yaml")
	if err := os.WriteFile(config, []byte("store: "+dir+"/none.db\nnonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"backup"}, {"restore"}, {"verify", "a", "b"}, {"verify", "-o", "yaml", "a"}, {"verify", "--config", config}, {"nothing"},
	} {
		var usage daemon.UsageError
		if out, err := runStore(t, args...); !errors.As(err, &usage) {
			t.Errorf("store %q: %q, %v", args, out, err)
		}
	}
	for _, args := range [][]string{{"verify", dir + "/none"}, {"backup", "--store", dir + "/none", dir + "/to"}, {"restore", "--store", dir + "/s", dir + "/none"}} {
		if out, err := runStore(t, args...); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("store %q: %q, %v", args, out, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("something was made: %v, %v", left, err)
	}
}
