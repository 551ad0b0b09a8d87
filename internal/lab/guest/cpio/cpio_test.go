package cpio_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/guest/cpio"
)

// Another reader of the format must find what was written.
func TestArchiveIsReadByBusybox(t *testing.T) {
	var buf bytes.Buffer
	w := cpio.NewWriter(&buf)
	files := map[string]string{"a": "", "b/c": "x", "b/d/e": "four", "b/long-name-for-the-padding": "fives"}
	for name, text := range files {
		w.File(name, 0o741, []byte(text))
	}
	w.Link("b/link", "c")
	w.Dir("b/d")
	w.Dir("/empty/")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(lab.Lookup("busybox"), "cpio", "-i", "-d")
	cmd.Dir, cmd.Stdin = dir, &buf
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, text := range files {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(data) != text {
			t.Errorf("%s holds %q, %v; want %q", name, data, err, text)
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o741 {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
	if target, err := os.Readlink(filepath.Join(dir, "b/link")); err != nil || target != "c" {
		t.Errorf("the link points to %q, %v", target, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "empty")); err != nil || !info.IsDir() {
		t.Errorf("the folder is %v, %v", info, err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestCloseTellsOfTheFirstError(t *testing.T) {
	w := cpio.NewWriter(full{})
	w.File("a", 0o644, nil)
	if err := w.Close(); err == nil {
		t.Error("an archive that was not written is complete")
	}
}
