package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// unpack reads an archive, and wants every path in its place.
func unpack(t *testing.T, packed []byte) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		name, ok := strings.CutPrefix(h.Name, top)
		if _, twice := files[name]; !ok || twice || !filepath.IsLocal(h.Name) || h.Typeflag != tar.TypeReg || h.Mode != 0o600 {
			t.Errorf("%q, kind %q, mode %o: not as it should be", h.Name, h.Typeflag, h.Mode)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
}

func text(s string) Source {
	return func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

func write(t *testing.T, opts Options) (Index, map[string]string) {
	t.Helper()
	var out bytes.Buffer
	index, err := Write(t.Context(), &out, opts)
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, out.Bytes())
	var said Index
	if err := json.Unmarshal([]byte(files["index.json"]), &said); err != nil || len(said.Items) != len(index.Items) {
		t.Errorf("the index: %v\n%s", err, files["index.json"])
	}
	return index, files
}

func TestWrite(t *testing.T) {
	t.Parallel()
	var told []string
	index, files := write(t, Options{
		Version: "v1.2.3", Progress: func(name string) { told = append(told, name) },
		Items: []Item{
			{Name: "a.txt", About: "an a", Collect: text("hello password=x\n")},
			{Name: "b.json", Collect: text(`{"token":"x","n":1}`)},
			{Name: "gone.txt", Collect: func(context.Context, io.Writer) error { return errors.New("nft1_abc is not there") }},
			{Name: "half.txt", Collect: func(_ context.Context, w io.Writer) error { io.WriteString(w, "half"); return io.ErrUnexpectedEOF }},
			{Name: "head.txt", Limit: 4, Collect: text("0123456789")},
			{Name: "tail.txt", Limit: 4, Tail: true, Collect: text("0123456789")},
			{Name: "bad.txt", Collect: text("a\xff\xfe\x00b")},
		},
	})
	for name, want := range map[string]string{
		"a.txt": "hello password=[redacted]\n", "half.txt": "half", "head.txt": "0123", "tail.txt": "6789", "bad.txt": "a\uFFFD\x00b",
		"b.json": "{\n  \"n\": 1,\n  \"token\": \"[redacted]\"\n}\n",
	} {
		if files[name] != want {
			t.Errorf("%s: %q, want %q", name, files[name], want)
		}
	}
	if _, there := files["gone.txt"]; there || index.Items[2].Missing != "nft1_[redacted] is not there" {
		t.Errorf("what is missing: %+v", index.Items[2])
	}
	if index.Items[3].Missing == "" || !index.Items[4].Truncated || !index.Items[5].Truncated || index.Items[0].Truncated || len(told) != 7 {
		t.Errorf("%+v; told %q", index, told)
	}
}

// Hostile names neither leave the archive's directory nor hide each other.
func TestNamesStayInside(t *testing.T) {
	t.Parallel()
	var items []Item
	for _, name := range []string{
		"../../etc/passwd", "/etc/passwd", "etc/passwd", "a/../../b", "..", "", "/", "a\x00b", "a\nb", "index.json", "-rf", ".ssh/x",
		"x;rm -rf $HOME", strings.Repeat("x/", 500), strings.Repeat("y", 5000), "é", "C:\\x",
	} {
		items = append(items, Item{Name: name, Collect: text(name)})
	}
	_, files := write(t, Options{Items: items})
	if len(files) != len(items)+1 {
		t.Errorf("%d files of %d items: %v", len(files), len(items), files)
	}
	for name := range files {
		if strings.ContainsAny(name, "\x00\n;$ \\") || strings.Contains(name, "..") || strings.HasPrefix(name, "-") || len(name) > 600 {
			t.Errorf("%q is in it", name)
		}
	}
}

// One that does not end costs its deadline, and what it wrote is there.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, free := time.Now(), make(chan struct{})
		index, files := write(t, Options{Items: []Item{
			{Name: "minds.txt", Deadline: time.Minute, Collect: func(ctx context.Context, w io.Writer) error {
				io.WriteString(w, "begun")
				<-ctx.Done()
				return ctx.Err()
			}},
			{Name: "hangs.txt", Deadline: time.Minute, Collect: func(_ context.Context, w io.Writer) error {
				io.WriteString(w, "begun")
				<-free
				io.WriteString(w, "late")
				return nil
			}},
			{Name: "next.txt", Collect: text("next")},
		}})
		close(free)
		if took := time.Since(start); took > 3*time.Minute || files["minds.txt"] != "begun" || files["hangs.txt"] != "begun" || files["next.txt"] != "next" {
			t.Errorf("after %s: %q", took, files)
		}
		for _, e := range index.Items[:2] {
			if e.Missing != "not done within 1m0s" {
				t.Errorf("%+v", e)
			}
		}
	})
}

func TestTheWholeIsBounded(t *testing.T) {
	t.Parallel()
	index, files := write(t, Options{total: 100, Items: []Item{
		{Name: "a", Collect: text(strings.Repeat("a", 50))}, {Name: "b", Collect: text(strings.Repeat("b", 50))}, {Name: "c", Collect: text("c")},
	}})
	if _, there := files["c"]; there || !strings.Contains(index.Items[2].Missing, "already") {
		t.Errorf("%+v", index.Items)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Write(ctx, io.Discard, Options{Items: []Item{{Name: "a", Collect: func(context.Context, io.Writer) error { cancel(); return nil }}}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/x" {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}
		fmt.Fprint(w, "answer")
	}))
	srv.Listener.Close()
	srv.Listener = ln
	srv.Start()
	defer srv.Close()
	for name, c := range map[string]struct {
		from       Source
		text, fail string
	}{
		"file":      {File(file), "text", ""},
		"no file":   {File(file + "x"), "", "no such file"},
		"pipe":      {File(pipe), "", "no regular file"},
		"directory": {File(dir), "", "no regular file"},
		"command":   {Command("sh", "-c", "echo out"), "out\n", ""},
		"failed":    {Command("sh", "-c", "echo half; echo why >&2; exit 3"), "half\n", "exit status 3: why"},
		"no such":   {Command("no-such-program"), "", "no-such-program is not on this machine"},
		"no path":   {Command(dir + "/no-such-program"), "", "is not on this machine"},
		"endless":   {Command("sh", "-c", "echo begun; sleep 600 & sleep 600"), "begun\n", "not done within"},
		"socket":    {Get(filepath.Join(dir, "sock"), "http://x/x"), "answer", ""},
		"redirect":  {Get(filepath.Join(dir, "sock"), "http://x/y"), "", "302"},
		"nobody":    {Get(file, "http://x/y"), "", "connection refused"},
		"value":     {Value(func(context.Context) (string, error) { return "<v>", nil }), "\"<v>\"\n", ""},
		"no value":  {Value(func(context.Context) (int, error) { return 1, io.EOF }), "", "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := collect(t.Context(), Item{Collect: c.from, Deadline: time.Second})
			if string(got) != c.text || (err == nil) != (c.fail == "") || err != nil && !strings.Contains(err.Error(), c.fail) {
				t.Errorf("%q, %v; want %q, %q", got, err, c.text, c.fail)
			}
		})
	}
}
