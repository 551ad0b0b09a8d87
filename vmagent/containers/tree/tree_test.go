//go:build linux

package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// capability is cap_net_bind_service=ep as the kernel stores it.
var capability = []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// acl lets user 1234 read: version 2, then tag, permissions and id of each entry.
var acl = []byte{
	2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 210, 4, 0, 0,
	4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
}

// everything makes a directory that has one of each kind.
func everything(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.MkdirAll(at("deep/er/est"), 0o700))
	must(t, os.WriteFile(at("plain"), []byte("hello"), 0o640))
	must(t, os.Chown(at("plain"), 1234, 3000000000))
	must(t, os.WriteFile(at("deep/er/setuid"), bytes.Repeat([]byte("x"), 100_000), 0o755))
	must(t, os.Chown(at("deep/er/setuid"), 7, 8))
	must(t, os.Chmod(at("deep/er/setuid"), 0o755|os.ModeSetuid|os.ModeSetgid))
	must(t, unix.Setxattr(at("plain"), "user.note", []byte("a\x00b"), 0))
	must(t, unix.Setxattr(at("plain"), "system.posix_acl_access", acl, 0))
	must(t, os.WriteFile(at("capable"), nil, 0o755))
	must(t, unix.Setxattr(at("capable"), "security.capability", capability, 0))
	must(t, unix.Setxattr(at("deep"), "user.dir", []byte("d"), 0))
	must(t, os.Symlink("/etc/shadow", at("absolute")))
	must(t, os.Lchown(at("absolute"), 5, 6))
	must(t, os.Symlink("nowhere", at("deep/dangling")))
	must(t, os.Link(at("plain"), at("deep/er/other name")))
	must(t, unix.Mkfifo(at("pipe"), 0o600))
	must(t, os.Chmod(at("pipe"), 0o622))
	must(t, os.WriteFile(at("not\xffUTF\n8"), []byte("1"), 0o600))
	must(t, os.Mkdir(at("shared"), 0o700))
	must(t, os.Chmod(at("shared"), 0o777|os.ModeSticky))
	sparse, err := os.Create(at("sparse"))
	must(t, err)
	_, err = sparse.WriteAt([]byte("middle"), 64<<20)
	must(t, err)
	must(t, sparse.Truncate(1<<30))
	must(t, sparse.Close())
	must(t, os.WriteFile(at("hole"), nil, 0o600))
	must(t, os.Truncate(at("hole"), 5<<20))
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: at("socket")})
	must(t, err)
	socket.SetUnlinkOnClose(false)
	must(t, socket.Close())
	old := time.Unix(1_000_000_000, 123_456_789)
	must(t, os.Chtimes(at("plain"), old, old))
	must(t, os.Chtimes(at("deep/er"), old, old))
	must(t, os.Chmod(dir, 0o751))
	must(t, os.Chtimes(dir, old, old))
	return dir
}

// look describes all below a directory, a line each, but for sockets.
func look(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	inodes := map[uint64]string{}
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		must(t, err)
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		name, _ := filepath.Rel(dir, path)
		if st.Mode&unix.S_IFMT == unix.S_IFSOCK {
			return nil
		}
		fmt.Fprintf(&b, "%q %o %d:%d time %d", name, st.Mode, st.Uid, st.Gid, st.Mtim.Nano())
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			fmt.Fprintf(&b, " size %d", st.Size)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 {
			if inodes[st.Ino] == "" {
				inodes[st.Ino] = name
			}
			fmt.Fprintf(&b, " as %q", inodes[st.Ino])
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			target, _ := os.Readlink(path)
			fmt.Fprintf(&b, " to %s", target)
		case unix.S_IFREG, unix.S_IFDIR:
			names, err := list(path)
			must(t, err)
			slices.Sort(names)
			for _, name := range names {
				value, err := get(path, name)
				must(t, err)
				fmt.Fprintf(&b, " %s=%x", name, value)
			}
		}
		if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size < 1<<20 {
			data, err := os.ReadFile(path)
			must(t, err)
			fmt.Fprintf(&b, " %x", data[:min(len(data), 10)])
		}
		b.WriteByte('\n')
		return nil
	}))
	return b.String()
}

func pack(t *testing.T, dir string, opts Options) []byte {
	t.Helper()
	var buf bytes.Buffer
	must(t, Pack(t.Context(), dir, &buf, opts))
	return buf.Bytes()
}

func unpack(t *testing.T, dir string, stream io.Reader, opts Options) error {
	t.Helper()
	a, err := Open(stream)
	if err != nil {
		return err
	}
	return a.Unpack(t.Context(), dir, opts)
}

func TestRoundTripKeepsEverything(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	dir := everything(t)
	stream := pack(t, dir, Options{Note: "n"})
	if len(stream) > 1<<20 {
		t.Errorf("%d bytes: the holes went along", len(stream))
	}
	target := t.TempDir()
	must(t, unpack(t, target, bytes.NewReader(stream), Options{}))
	if got, want := look(t, target), look(t, dir); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(target, "sparse"), &st))
	if st.Blocks*512 > 1<<20 {
		t.Errorf("the file with a hole takes %d bytes", st.Blocks*512)
	}
	f, err := os.Open(filepath.Join(target, "sparse"))
	must(t, err)
	defer f.Close()
	got := make([]byte, 6)
	_, err = f.ReadAt(got, 64<<20)
	if must(t, err); string(got) != "middle" {
		t.Errorf("got %q between the holes", got)
	}
	if size, err := Size(t.Context(), dir); err != nil || size < 100_000 || size > 300_000 {
		t.Errorf("size %d, %v", size, err)
	}
	must(t, Clear(target))
	if left, err := os.ReadDir(target); err != nil || len(left) > 0 {
		t.Errorf("cleared, and left %v, %v", left, err)
	}
}

// A stream that ends early is never taken for a whole one, wherever it is cut.
func TestCutStreamIsBroken(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "d/f"), bytes.Repeat([]byte("x"), 1500), 0o600))
	stream := pack(t, dir, Options{})
	end := len(stream) - 3*512 // from there on only zeros are missing
	for cut := 0; cut <= end; cut += 256 {
		if err := unpack(t, t.TempDir(), bytes.NewReader(stream[:cut]), Options{}); !errors.Is(err, ErrBroken) {
			t.Errorf("cut at %d of %d: %v, want ErrBroken", cut, len(stream), err)
		}
	}
	if err := unpack(t, t.TempDir(), bytes.NewReader(append(bytes.Clone(stream), 1)), Options{}); !errors.Is(err, ErrBroken) {
		t.Errorf("with more after its end: %v, want ErrBroken", err)
	}
}

// Whatever the other node sends, nothing outside the
// directory is made, changed or linked to.
func TestHostileStreams(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	link := tar.Header{Typeflag: tar.TypeSymlink, Name: "way", Linkname: ".."}
	for name, tt := range map[string]struct {
		entries []tar.Header
		want    error // nil: any
	}{
		"up":               {[]tar.Header{{Typeflag: tar.TypeReg, Name: "../victim"}}, ErrBroken},
		"absolute":         {[]tar.Header{{Typeflag: tar.TypeReg, Name: "/victim"}}, ErrBroken},
		"down and up":      {[]tar.Header{{Typeflag: tar.TypeDir, Name: "a/"}, {Typeflag: tar.TypeReg, Name: "a/../../victim"}}, ErrBroken},
		"through a link":   {[]tar.Header{link, {Typeflag: tar.TypeReg, Name: "way/victim"}}, ErrBroken},
		"link as dir":      {[]tar.Header{link, {Typeflag: tar.TypeDir, Name: "way/"}}, nil},
		"over a link":      {[]tar.Header{{Typeflag: tar.TypeSymlink, Name: "way", Linkname: "../victim"}, {Typeflag: tar.TypeReg, Name: "way"}}, nil},
		"hard link up":     {[]tar.Header{{Typeflag: tar.TypeLink, Name: "a", Linkname: "../victim"}}, ErrBroken},
		"hard link by way": {[]tar.Header{link, {Typeflag: tar.TypeLink, Name: "a", Linkname: "way/victim"}}, nil},
		"twice":            {[]tar.Header{{Typeflag: tar.TypeReg, Name: "a"}, {Typeflag: tar.TypeReg, Name: "a"}}, nil},
		"no such parent":   {[]tar.Header{{Typeflag: tar.TypeReg, Name: "a/b"}}, ErrBroken},
		"block device":     {[]tar.Header{{Typeflag: tar.TypeBlock, Name: "a", Devmajor: 8}}, ErrRefused},
		"memory":           {[]tar.Header{{Typeflag: tar.TypeChar, Name: "a", Devmajor: 1, Devminor: 1}}, ErrRefused},
		"whiteout":         {[]tar.Header{{Typeflag: tar.TypeChar, Name: "a"}}, ErrRefused},
		"trusted":          {[]tar.Header{{Typeflag: tar.TypeReg, Name: "a", PAXRecords: map[string]string{recordXattr + "trusted.overlay.redirect": "/"}}}, ErrRefused},
		"extent":           {[]tar.Header{{Typeflag: tar.TypeReg, Name: "a", PAXRecords: map[string]string{recordSize: "5", recordExtents: "3+9223372036854775807"}}}, ErrBroken},
		"extents back":     {[]tar.Header{{Typeflag: tar.TypeReg, Name: "a", PAXRecords: map[string]string{recordSize: "5", recordExtents: "3+1,2+1"}}}, ErrBroken},
		"negative size":    {[]tar.Header{{Typeflag: tar.TypeReg, Name: "a", PAXRecords: map[string]string{recordSize: "-5"}}}, ErrBroken},
		"root again":       {[]tar.Header{{Typeflag: tar.TypeDir, Name: "./"}}, ErrBroken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outer := t.TempDir()
			dir := filepath.Join(outer, "dir")
			must(t, os.Mkdir(dir, 0o755))
			must(t, os.WriteFile(filepath.Join(outer, "victim"), []byte("whole"), 0o600))
			want := look(t, filepath.Join(outer, "victim"))
			var buf bytes.Buffer
			w := tar.NewWriter(&buf)
			entries := append([]tar.Header{{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755}}, tt.entries...)
			must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{recordNote: "n"}}))
			for _, h := range entries {
				must(t, w.WriteHeader(&h))
			}
			must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{recordEnd: fmt.Sprint(len(entries))}}))
			must(t, w.Close())
			if err := unpack(t, dir, &buf, Options{}); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			left, err := os.ReadDir(outer)
			if must(t, err); len(left) != 2 || look(t, filepath.Join(outer, "victim")) != want {
				t.Errorf("outside there is %v, victim %s", left, look(t, filepath.Join(outer, "victim")))
			}
		})
	}
}

func TestPackRefuses(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	device := t.TempDir()
	must(t, unix.Mknod(filepath.Join(device, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	deep := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(deep, strings.Repeat("d/", maxDepth+1)), 0o755))
	for name, dir := range map[string]string{"device": device, "deep": deep} {
		if err := Pack(t.Context(), dir, io.Discard, Options{Overlay: true}); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, want ErrRefused", name, err)
		}
	}
}

func TestOverlayMarks(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	dir := t.TempDir()
	must(t, unix.Mknod(filepath.Join(dir, "deleted"), unix.S_IFCHR, 0))
	must(t, os.Mkdir(filepath.Join(dir, "anew"), 0o755))
	must(t, unix.Setxattr(filepath.Join(dir, "anew"), overlayOpaque, []byte("y"), 0))
	must(t, unix.Setxattr(filepath.Join(dir, "anew"), "trusted.overlay.origin", []byte("of this machine"), 0))
	stream := pack(t, dir, Options{Overlay: true})
	target := t.TempDir()
	must(t, unpack(t, target, bytes.NewReader(stream), Options{Overlay: true}))
	got := look(t, target)
	if !strings.Contains(got, `"deleted" 20000 `) || !strings.Contains(got, "trusted.overlay.opaque=79") || strings.Contains(got, "origin") {
		t.Errorf("got\n%s", got)
	}
	must(t, unix.Setxattr(filepath.Join(dir, "anew"), "trusted.overlay.redirect", []byte("/old"), 0))
	if err := Pack(t.Context(), dir, io.Discard, Options{Overlay: true}); !errors.Is(err, ErrRefused) {
		t.Errorf("a directory kept by reference: %v, want ErrRefused", err)
	}
}
