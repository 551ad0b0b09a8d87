package doctor

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/nicferry/nicferry/nic"
)

var update = flag.Bool("update", false, "write what the doctor says into testdata")

// kernel is a machine's kernel in memory.
type kernel struct {
	nics []NIC
	free uint64 // of a terabyte; 0 is half of it
	lack string // what it cannot make
}

func (k *kernel) Free(string) (free, total uint64, err error) {
	if k.free == 0 {
		return 1 << 39, 1 << 40, nil
	}
	return k.free, 1 << 40, nil
}

func (k *kernel) NICs() ([]NIC, error)                        { return slices.Clone(k.nics), nil }
func (k *kernel) ClockSynced() (bool, error)                  { return true, nil }
func (k *kernel) Messages() ([]string, error)                 { return nil, nil }
func (k *kernel) Beat(context.Context) (time.Duration, error) { return time.Microsecond, nil }

func (k *kernel) CanMake(kind string) error {
	if kind == k.lack {
		return errors.New("operation not supported")
	}
	return nil
}

func (k *kernel) Flush(n NIC) error {
	for i := range k.nics {
		if k.nics[i].Name == n.Name {
			k.nics[i].Up, k.nics[i].Addrs = false, nil
		}
	}
	return nil
}

// plug reads "nic NAME MAC up|down ADDRESS…".
func (k *kernel) plug(t *testing.T, line string) {
	f := strings.Fields(line)
	if len(f) < 4 || f[0] != "nic" {
		return
	}
	mac, err := nic.ParseMAC(f[2])
	if err != nil {
		t.Fatal(err)
	}
	n := NIC{Index: len(k.nics) + 2, Name: f[1], MAC: mac, Up: f[3] == "up"}
	for _, a := range f[4:] {
		n.Addrs = append(n.Addrs, netip.MustParsePrefix(a))
	}
	k.nics = append(k.nics, n)
}

// newMachine lays out an archive's files, but for those that say what is wanted.
func newMachine(t *testing.T, a *txtar.Archive) Machine {
	t.Helper()
	root, err := os.MkdirTemp("", "nf") // shorter than the test's own, as sockets must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	k := &kernel{}
	for line := range strings.Lines(string(a.Comment)) {
		k.plug(t, line)
	}
	for _, f := range a.Files {
		if strings.HasPrefix(f.Name, "want") {
			continue
		}
		text := strings.ReplaceAll(string(f.Data), `\0`, "\x00")
		if strings.HasSuffix(f.Name, "/cmdline") {
			text = strings.TrimSuffix(text, "\n")
		}
		put(t, filepath.Join(root, f.Name), text)
	}
	if err := os.MkdirAll(filepath.Join(root, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	serveDocker(t, filepath.Join(root, "run/docker.sock"), `{"Version":"24.0.7","ApiVersion":"1.43","Os":"linux"}`, `{}`)
	return Machine{Root: root, DockerSocket: "/run/docker.sock", Kernel: k}
}

// serveDocker answers as a Docker daemon does.
func serveDocker(t *testing.T, socket, version, info string) {
	t.Helper()
	serve(t, socket, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, map[string]string{"/version": version, "/info": info}[r.URL.Path])
	})
}

// serve serves HTTP on a unix socket for as long as the test lasts.
func serve(t *testing.T, socket string, h http.HandlerFunc) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(socket), 0o755))
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func render(findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s %s: %s\n", f.State, f.Check, f.Says)
		if f.Remedy != "" {
			fmt.Fprintf(&b, "\t→ %s\n", f.Remedy)
		}
	}
	return b.String()
}

// TestMachines examines each machine in testdata, mends it, and examines it
// again; then undoes that.
func TestMachines(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d machines, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m := newMachine(t, a)
			got := map[string]string{"want": render(Examine(t.Context(), m))}
			did, refused := Mend(t.Context(), m)
			if refused != nil {
				did = append(did, "refused: "+refused.Error())
			}
			got["want-did"] = strings.Join(did, "\n") + "\n"
			got["want-mended"] = render(Examine(t.Context(), m))
			if did, err := Mend(t.Context(), m); (err != nil) != (refused != nil) || len(did) != 0 {
				t.Errorf("mended twice: %q, %v; want nothing to do", did, err)
			}
			compare(t, file, a, got)
			if _, err := Undo(t.Context(), m); err != nil {
				t.Error(err)
			}
			left, _ := filepath.Glob(filepath.Join(m.Root, "etc/*/*/*nicferry*"))
			if did, err := Undo(t.Context(), m); err != nil || len(did) != 0 || len(left) != 0 {
				t.Errorf("undone twice: %q, %v, %q left; want nothing", did, err, left)
			}
		})
	}
}

// compare holds what the archive wants against what was got.
func compare(t *testing.T, file string, a *txtar.Archive, got map[string]string) {
	t.Helper()
	for _, name := range []string{"want", "want-did", "want-mended"} {
		i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
		if i < 0 {
			i = len(a.Files)
			a.Files = append(a.Files, txtar.File{Name: name})
		}
		if diff := cmp.Diff(string(a.Files[i].Data), got[name]); diff != "" && !*update {
			t.Errorf("%s: %s", name, diff)
		}
		a.Files[i].Data = []byte(got[name])
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
