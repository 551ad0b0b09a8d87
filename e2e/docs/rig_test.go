//go:build linux

package docs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/prose"
)

// Where the project is, and where TestMain has put its programs.
const root = "../.."

var bin string

func TestMain(m *testing.M) { os.Exit(labtest.WithPrograms(m, root, &bin).Run()) }

// A reader types what the documents say, on machines by the names that they have
// there; "" is the only one where there is no other.
type reader struct {
	t        *testing.T
	machines map[string]*lab.Node
	fences   []prose.Fence
	// exits are the exit codes of commands that are to fail, by how they begin.
	exits map[string]int
}

// furnishScript gives a machine folders of its own, above those of the machine
// that the test runs on, in which nicferry never was.
const furnishScript = `for folder in /etc /root /usr/local /var/lib /var/log; do
	own=/run/private$folder
	mkdir -p "$own/upper" "$own/work"
	chmod --reference="$folder" "$own/upper"
	mount -t overlay -o "lowerdir=$folder,upperdir=$own/upper,workdir=$own/work" overlay "$folder"
done
rm -rf /etc/nicferry /root/.nicferry /var/lib/nicferry /usr/local/bin/nicferry* /var/log/nicferry*
echo nameserver 127.0.0.1 >/etc/resolv.conf
`

// newReader has the reader sit at the machines, each of which has a clone of the
// project after make build.
func newReader(t *testing.T, machines map[string]*lab.Node) *reader {
	t.Helper()
	fences, err := prose.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, machines: machines, fences: fences, exits: map[string]int{}}
	for on, node := range machines {
		clone := r.clone(on)
		r.must(os.CopyFS(filepath.Join(clone, "examples"), os.DirFS(filepath.Join(root, "examples"))))
		r.must(os.Symlink(bin, filepath.Join(clone, "bin")))
		out, err := node.Command(t.Context(), "sh", "-euc", furnishScript).CombinedOutput()
		if err != nil {
			t.Fatalf("furnish machine %q: %v: %s", on, err, out)
		}
		if node.Engine == nil {
			continue
		}
		_, err = node.Engine.Image(t.Context())
		r.must(err)
		_, err = node.Docker(t.Context(), "tag", lab.ImageName, "busybox") // as it is called where one can pull it
		r.must(err)
	}
	t.Cleanup(r.tell)
	return r
}

func (r *reader) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *reader) clone(on string) string { return filepath.Join(r.machines[on].Dir(), "clone") }

// file is what the machine has under a name relative to the clone.
func (r *reader) file(on, name string) string { return filepath.Join(r.clone(on), name) }

// follow does all that the documents have under a name, from top to bottom, and
// holds what comes against what they show.
func (r *reader) follow(name string) {
	r.t.Helper()
	fences := prose.Of(r.fences, name)
	if len(fences) == 0 {
		r.t.Fatalf("no document has <!-- run: %s -->", name)
	}
	for _, f := range fences {
		steps, err := f.Steps()
		r.must(err)
		for _, s := range steps {
			r.step(s)
		}
	}
}

// patience bounds what a step waits for.
const patience = 20 * time.Second

// looks are commands that change nothing. A reader types them again when what
// they show is not there yet.
var looks = regexp.MustCompile(`^(nicferry (--\S+ \S+ )*(get|describe|status|events|audit|token list)|docker (exec|logs|ps)|docker-compose logs|curl|tail)\b`)

func (r *reader) step(s prose.Step) {
	r.t.Helper()
	begin := time.Now()
	for {
		out, err := r.typed(s)
		if err == nil {
			err = prose.Shows(s.Output, out)
		}
		switch {
		case err == nil:
			r.t.Logf("%s, %.1f s: %s\n%s", s.At, time.Since(begin).Seconds(), s.Command, out)
			return
		case !looks.MatchString(s.Command) || time.Since(begin) > patience:
			r.t.Fatalf("%s: %s\n%v", s.At, s.Command, err)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.t.Context().Done():
			r.t.Fatal(r.t.Context().Err())
		}
	}
}

// typed runs the commands of a step in the directory that the step before was
// left in, and returns all that comes.
func (r *reader) typed(s prose.Step) (string, error) {
	node := r.machines[s.On]
	if node == nil {
		return "", fmt.Errorf("there is no machine %q", s.On)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	at := filepath.Join(node.Dir(), "pwd")
	script := fmt.Sprintf("hostname %[4]s\ncd \"$(cat %[1]s 2>/dev/null || echo %[2]s)\"\n%[3]s\npwd >%[1]s", at, r.clone(s.On), s.Command, cmp.Or(s.On, "node1"))
	var out bytes.Buffer
	if s.User {
		script = "exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -euc " + shellQuote(s.Command)
	}
	cmd := node.Command(ctx, "unshare", "--uts", "sh", "-euc", script) // with a name of its own
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"}
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	want := 0
	for begin, code := range r.exits {
		if strings.HasPrefix(s.Command, begin) {
			want = code
		}
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && want != 0 && exit.ExitCode() == want {
		return out.String(), nil
	}
	if err == nil && want != 0 {
		err = fmt.Errorf("it works, and should have ended with %d", want)
	}
	if err != nil {
		err = fmt.Errorf("%w:\n%s", err, out.String())
	}
	return out.String(), err
}

// shellQuote makes one word of a text for sh.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// tell shows the daemons' logs if something failed.
func (r *reader) tell() {
	if !r.t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), patience)
	defer cancel()
	for on, node := range r.machines {
		out, _ := node.Command(ctx, "sh", "-c", "tail -n 30 /var/log/nicferry*.log").CombinedOutput()
		r.t.Logf("machine %q:\n%s", on, out)
	}
}
