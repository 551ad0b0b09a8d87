package proof

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// An act is one call of the kernel that a program has made, as strace saw it.
type act struct {
	call     string // as it is called in the kernel
	path, to string // of the file; of a link
	data     []byte
	at       int64 // where the data went; or the size
	failed   bool
}

// traced are the calls that change files, and those by which a program says something.
const traced = "trace=pwrite64,fdatasync,fsync,ftruncate,linkat,unlinkat,write"

// recordActs runs this test binary as a child and returns what it asked of the kernel, in
// the order in which it was done. Inject, if it is not empty, has strace fail calls.
func recordActs(t *testing.T, env, inject string) []act {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs strace: apt install strace")
		}
		t.Skip("needs strace: apt install strace")
	}
	log := filepath.Join(t.TempDir(), "trace")
	args := []string{"-f", "-y", "-xx", "-s", "1048576", "-qq", "--seccomp-bpf", "-e", traced, "-e", "signal=none", "-o", log}
	if inject != "" {
		args = append(args, "-e", "inject="+inject)
	}
	cmd := exec.CommandContext(t.Context(), "strace", append(args, "--", os.Args[0])...)
	cmd.Env = append(os.Environ(), env)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("record a run: %v: %s", err, said.Bytes())
	}
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	acts, err := readTrace(f)
	if err != nil {
		t.Fatal(err)
	}
	return acts
}

// readTrace reads strace's lines. What was said counts from when it began, all else from
// when it had ended: a sync holds from then on.
func readTrace(from io.Reader) ([]act, error) {
	var acts []act
	begun := map[string]string{} // by thread
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		thread, text, _ := strings.Cut(lines.Text(), " ")
		text = strings.TrimLeft(text, " ")
		head, ended := strings.CutSuffix(text, " <detached ...>") // by the end of its process
		head, unfinished := strings.CutSuffix(head, " <unfinished ...>")
		if ended || unfinished {
			if begun[thread] = head; !strings.HasPrefix(head, "write(") {
				continue
			}
			text = head + ") = ?"
		} else if rest, ok := strings.CutPrefix(text, "<... "); ok {
			if _, rest, ok = strings.Cut(rest, " resumed>"); !ok || strings.HasPrefix(begun[thread], "write(") {
				continue
			}
			text = begun[thread] + rest
		}
		if strings.HasPrefix(text, "+++") || strings.HasPrefix(text, "---") {
			continue
		}
		a, err := readCall(text)
		if err != nil {
			return nil, fmt.Errorf("strace says %.200q: %w", text, err)
		}
		acts = append(acts, a)
	}
	return acts, lines.Err()
}

// readCall takes a line apart, such as
//
//	pwrite64(7</dir/store.db>, "\x01\x02", 2, 8192) = 2
func readCall(text string) (a act, err error) {
	call, rest, ok := strings.Cut(text, "(")
	end := strings.LastIndex(rest, ") = ")
	if end < 0 {
		end = strings.LastIndex(rest, ")")
	}
	if !ok || end < 0 {
		return a, fmt.Errorf("no call")
	}
	a.call, a.failed = call, strings.Contains(rest[end:], "= -1 ")
	args := strings.Split(rest[:end], ", ")
	if _, path, ok := strings.Cut(args[0], "<"); ok {
		a.path = unhex(strings.TrimSuffix(path, ">"))
	}
	switch {
	case call == "write" && len(args) == 3 && strings.HasPrefix(args[0], "1<"):
		a.path, a.data = "", []byte(unhex(strings.Trim(args[1], `"`)))
	case call == "pwrite64" && len(args) == 4:
		a.data = []byte(unhex(strings.Trim(args[1], `"`)))
		if a.at, err = strconv.ParseInt(args[3], 10, 64); err == nil && strconv.Itoa(len(a.data)) != args[2] {
			err = fmt.Errorf("%d bytes of %s", len(a.data), args[2])
		}
	case call == "ftruncate" && len(args) == 2:
		a.at, err = strconv.ParseInt(args[1], 10, 64)
	case call == "linkat" && len(args) == 5:
		a.path, a.to = unhex(strings.Trim(args[1], `"`)), unhex(strings.Trim(args[3], `"`))
	case call == "unlinkat" && len(args) == 3:
		a.path = unhex(strings.Trim(args[1], `"`))
	}
	return a, err
}

// unhex reads strace's way to write text.
func unhex(text string) string {
	out := make([]byte, 0, len(text)/4)
	for i := 0; i < len(text); i++ {
		if strings.HasPrefix(text[i:], `\x`) && len(text) >= i+4 {
			if b, err := strconv.ParseUint(text[i+2:i+4], 16, 8); err == nil {
				out, i = append(out, byte(b)), i+3
				continue
			}
		}
		out = append(out, text[i])
	}
	return string(out)
}

// A file is what the disk has of one: for sure, and what may be there as well.
type file struct {
	// sure is what it is after a power cut before which all was written in time; there
	// are several if a sync has failed: what it was to write is there or not, whatever is
	// synced later.
	sure    [][]byte
	pending []act // written since the last sync
}

// mostSure bounds the ways that failed syncs multiply.
const mostSure = 4

// sector is what a disk writes whole.
const sector = 512

// with is the content with those pending acts, and those sectors of them, that keep says.
func with(content []byte, pending []act, keep func(act, sector int) bool) []byte {
	now := bytes.Clone(content)
	for i, a := range pending {
		if a.call == "ftruncate" {
			if keep(i, 0) {
				now = resized(now, a.at)
			}
			continue
		}
		for at := 0; at < len(a.data); at += sector {
			if !keep(i, at/sector) {
				continue
			}
			part := a.data[at:min(at+sector, len(a.data))]
			begin := a.at + int64(at)
			if end := begin + int64(len(part)); end > int64(len(now)) {
				now = resized(now, end)
			}
			copy(now[begin:], part)
		}
	}
	return now
}

func resized(content []byte, size int64) []byte {
	if size <= int64(len(content)) {
		return content[:size]
	}
	return append(content, make([]byte, size-int64(len(content)))...)
}

func all(int, int) bool { return true }

// sync makes what is pending sure; a failed one leaves both ways open.
func (f *file) sync(failed bool) {
	var next [][]byte
	for _, content := range f.sure {
		next = append(next, with(content, f.pending, all))
		if failed && len(f.pending) > 0 && len(f.sure) < mostSure {
			next = append(next, content)
		}
	}
	f.sure, f.pending = next, nil
}

// A disk has files by the names they have for now.
type disk struct {
	files map[string]*file
	// synced are the directories in whose names nothing is pending.
	synced map[string]bool
}

func newDisk() *disk { return &disk{files: map[string]*file{}, synced: map[string]bool{}} }

// do does what a program has done.
func (d *disk) do(a act) {
	f := d.files[a.path]
	if f == nil && (a.call == "pwrite64" || a.call == "ftruncate") {
		f = &file{sure: [][]byte{nil}}
		d.files[a.path] = f
	}
	switch a.call {
	case "pwrite64", "ftruncate":
		if !a.failed {
			f.pending = append(f.pending, a)
		}
	case "fdatasync", "fsync":
		if f != nil {
			f.sync(a.failed)
		} else if !a.failed {
			d.synced[a.path] = true
		}
	case "linkat":
		if f != nil && !a.failed {
			d.files[a.to], d.synced[filepath.Dir(a.to)] = f, false
		}
	case "unlinkat":
		if !a.failed {
			delete(d.files, a.path)
		}
	}
}
