package conf

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/nic"
)

var update = flag.Bool("update", false, "write the faults that are found into testdata")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// goldens are the files of testdata/dir: a comment, the config and the faults.
func goldens(t testing.TB, dir string) map[string]*txtar.Archive {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files in %s: %v", dir, err)
	}
	archives := map[string]*txtar.Archive{}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Files) != 2 || a.Files[0].Name != "in.yaml" || a.Files[1].Name != "faults" {
			t.Fatalf("%s: want the parts in.yaml and faults", file)
		}
		archives[file] = a
	}
	return archives
}

func testGoldens(t *testing.T, dir string, parse func(data []byte) error) {
	for file, a := range goldens(t, dir) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			err := parse(a.Files[0].Data)
			if err == nil {
				t.Fatal("no fault found")
			}
			if AsFaults(err) == nil {
				t.Fatalf("error is no list of faults: %v", err)
			}
			got := err.Error() + "\n"
			if *update {
				a.Files[1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(a.Files[1].Data), got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseControllerFaults(t *testing.T) {
	t.Parallel()
	testGoldens(t, "controller", func(data []byte) error {
		_, err := ParseController("in.yaml", data)
		return err
	})
}

func TestParseAgentFaults(t *testing.T) {
	t.Parallel()
	testGoldens(t, "agent", func(data []byte) error {
		_, err := parseAgent("in.yaml", data, func() (string, error) { return "bad host!", nil })
		return err
	})
}

func TestParseAgentNode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, host, want string }{
		{"version: 1", "web3.example.com", "web3"},
		{"version: 1", "web3", "web3"},
		{"{version: 1, node: n.1}", "web3", "n.1"},
	} {
		a, err := parseAgent("f", []byte(c.file), func() (string, error) { return c.host, nil })
		if err != nil || a.Node != c.want {
			t.Errorf("%s on %s: got %v, %v, want node %s", c.file, c.host, a, err, c.want)
		}
	}
	_, err := parseAgent("f", []byte("version: 1"), func() (string, error) { return "", errors.New("no name") })
	if err == nil || !strings.Contains(err.Error(), "f:1: node: is missing") {
		t.Errorf("without a host name: %v", err)
	}
}

func TestLoadMissing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none.yaml")
	_, errController := LoadController(path)
	_, errAgent := LoadAgent(path)
	for _, err := range []error{errController, errAgent} {
		if !errors.Is(err, fs.ErrNotExist) || AsFaults(err) != nil {
			t.Errorf("got %v, want an error that is fs.ErrNotExist and no faults", err)
		}
		if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "examples/") {
			t.Errorf("%q does not tell the path and the sample", err)
		}
	}
}

func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sock := filepath.Join(dir, "s")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]string{dir: "is a directory", sock: "is a socket", "/dev/zero": "is a device"} {
		if _, err := LoadAgent(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

func TestLoadBoundsSize(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "big.yaml")
	fits := append([]byte("version: 1\n"), bytes.Repeat([]byte("#"), maxSize-11)...)
	for _, c := range []struct {
		data []byte
		want string
	}{{fits, ""}, {append(fits, '#'), path + ":1: is larger than 1048576 bytes"}} {
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadAgent(path)
		if got := fmt.Sprint(err); got != c.want && (err != nil || c.want != "") {
			t.Errorf("%d bytes: got %s, want %q", len(c.data), got, c.want)
		}
	}
}

// sampleConfig is config that a sample has behind a #: all but one space
// follows.
var sampleConfig = regexp.MustCompile(`(?m)^( *)#( {2,}\S|[^ #\n])`)

// samples returns a sample as it is, and with all its config made active.
func samples(t testing.TB, name string) (asIs, full []byte) {
	t.Helper()
	asIs, err := os.ReadFile(filepath.Join("..", "..", "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	// What is given there in two ways can be given in one alone.
	one := bytes.Replace(asIs, []byte("\nstore: /var/lib/nicferry/nicferry.db\n"), []byte("\n"), 1)
	return asIs, sampleConfig.ReplaceAll(one, []byte("$1$2"))
}

// checkComplete fails for every field of the file's struct that the sample
// does not show.
func checkComplete(t *testing.T, sample []byte, file any) {
	t.Helper()
	d := newDoc("sample")
	v := reflect.New(reflect.TypeOf(file)).Elem()
	d.decode(d.parse(sample), v, "")
	if err := d.err(); err != nil {
		t.Fatal(err)
	}
	given := map[string]bool{}
	for path := range d.lines {
		path = regexp.MustCompile(`\[\d+\]`).ReplaceAllString(path, "")
		given[regexp.MustCompile(`^nodes\.[^.]+`).ReplaceAllString(path, "nodes.*")] = true
	}
	var walk func(t reflect.Type, path string) []string
	walk = func(t reflect.Type, path string) []string {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice:
			return walk(t.Elem(), path)
		case reflect.Map:
			return walk(t.Elem(), path+".*")
		case reflect.Struct:
			var all []string
			if t.PkgPath() == reflect.TypeFor[doc]().PkgPath() {
				for _, f := range fieldsOf(t) {
					all = append(all, under(path, f.name))
					all = append(all, walk(t.Field(f.index).Type, under(path, f.name))...)
				}
			}
			return all
		}
		return nil
	}
	fields := walk(v.Type(), "")
	if len(fields) < 8 {
		t.Fatalf("found only the fields %v", fields)
	}
	for _, f := range fields {
		if !given[f] {
			t.Errorf("the sample does not show %s", f)
		}
	}
}

func TestControllerSample(t *testing.T) {
	t.Parallel()
	asIs, full := samples(t, "nicferryd.yaml")
	checkComplete(t, full, controllerFile{})
	if c, err := ParseController("full", full); err != nil || len(c.Networks) != 11 || len(c.Nodes) != 3 || len(c.Providers) != 5 || c.Listen == nil {
		t.Errorf("with all config active: %+v, %v", c, err)
	}
	got, err := LoadController("../../examples/nicferryd.yaml")
	if err != nil || bytes.Equal(asIs, full) {
		t.Fatal(err)
	}
	// All that has a default is left out here.
	want, err := ParseController("short", []byte(`
version: 1
providers: [{name: local, kind: local}]
networks:
  - name: lab
    provider: local
    addressing: ipam
    subnets:
      - {prefix: 10.77.0.0/24, ranges: [10.77.0.10-10.77.0.199], exclude: [10.77.0.50, 10.77.0.60-10.77.0.69]}
      - {prefix: fd77::/64, ranges: [fd77::1:0-fd77::1:ffff]}
    veth: {bridge: nf-lab, owned: true, uplinks: []}
`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, byText); diff != "" {
		t.Errorf("the sample is not the defaults (-defaults +sample):\n%s", diff)
	}
}

func TestAgentSample(t *testing.T) {
	t.Parallel()
	asIs, full := samples(t, "agent.yaml")
	checkComplete(t, full, agentFile{})
	remote, err := ParseAgent("full", full)
	if err != nil || remote.TLS == nil || len(remote.Controllers) != 2 {
		t.Errorf("with all config active: %+v, %v", remote, err)
	}
	if moves, err := ParseAgent("moves", []byte("version: 1\nmoves: true\n")); err != nil || !moves.Moves {
		t.Errorf("moves: true is %+v, %v", moves, err)
	}
	got, err := parseAgent("sample", asIs, func() (string, error) { return "node1", nil })
	if err != nil {
		t.Fatal(err)
	}
	want := &Agent{
		Node: "node1", Controllers: []string{"unix:///run/nicferry/nicferryd.sock"},
		Docker: Docker{Socket: "/var/run/docker.sock"}, RunDir: "/run/nicferry/agent", IdentityDir: "/var/lib/nicferry/agent",
		Resync: nic.Duration(30 * time.Second), Log: Log{Level: "info", Format: "auto"},
		Metrics: Metrics{Address: "127.0.0.1:7462"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the sample (-want +got):\n%s", diff)
	}
	short, err := parseAgent("short", []byte("version: 1\n"), func() (string, error) { return "node1.example", nil })
	if diff := cmp.Diff(want, short); err != nil || diff != "" {
		t.Errorf("the defaults, %v (-want +got):\n%s", err, diff)
	}
}

// byText compares addresses and the like by what they print.
var byText = cmp.Comparer(func(a, b fmt.Stringer) bool { return a.String() == b.String() })

func TestFaultsAreSorted(t *testing.T) {
	t.Parallel()
	for _, a := range goldens(t, "controller") {
		_, err := ParseController("f", a.Files[0].Data)
		if !slices.IsSortedFunc(AsFaults(err), func(a, b Fault) int { return a.Line - b.Line }) {
			t.Errorf("not by line:\n%v", err)
		}
	}
}
