//go:build linux

package hyper_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/hyper"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

const makerDir = "NICFERRY_TEST_MAKER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(makerDir); dir != "" {
		if _, err := hyper.Start(context.Background(), hyper.Options{Dir: dir}); err != nil {
			panic(err)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	goleak.VerifyTestMain(m)
}

// place is where a host can be, which goes with the test. t.TempDir is too long
// a path for sockets.
func place(t *testing.T) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "nf-hyper-")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "h")
	t.Cleanup(func() {
		for range 2 {
			if err := hyper.Stop(context.WithoutCancel(t.Context()), dir); err != nil {
				t.Error(err)
			}
		}
		if err := os.RemoveAll(parent); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// start starts a host that goes with the test.
func start(t *testing.T) *hyper.Host {
	t.Helper()
	netnstest.RequireRoot(t)
	dir := place(t)
	begin := time.Now()
	h, err := hyper.Start(t.Context(), hyper.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("host ready after %s", time.Since(begin))
	return h
}

// links are the machine's own, which no host may change.
func links(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ip", "-o", "-br", "link").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestHostHasALibvirtdAndANetworkOfItsOwn(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx := t.Context()
	if out, err := h.Run(ctx, "ip", "link", "add", "nfhyperbr0", "type", "bridge"); err != nil {
		t.Fatal(out, err)
	}
	if strings.Contains(links(t), "nfhyperbr0") {
		t.Error("the machine has the host's bridge")
	}
	if out, err := h.Run(ctx, "ls", "/sys/class/net"); err != nil || out != "lo\nnfhyperbr0\n" {
		t.Errorf("/sys shows %q, %v; want the host's links", out, err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), h.Dir()) {
		t.Errorf("the machine has the host's mounts: %v", err)
	}
	for where, virsh := range map[string]func() (string, error){
		"host": func() (string, error) { return h.Run(ctx, "virsh", "-c", h.URI(), "list", "--all", "--name") },
		"machine": func() (string, error) {
			out, err := exec.CommandContext(ctx, "virsh", "-c", h.URI(), "nwfilter-list").CombinedOutput()
			return strings.TrimSpace(string(out)), err
		},
	} {
		out, err := virsh()
		if err != nil {
			t.Errorf("virsh on the %s: %v %s", where, err, out)
		}
		if where == "machine" && !strings.Contains(out, "clean-traffic") {
			t.Errorf("no clean-traffic among the network filters:\n%s", out)
		}
	}
}

func TestHostIsFoundAndRestartedAndStopped(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx := t.Context()
	if _, err := hyper.Start(ctx, hyper.Options{Dir: h.Dir()}); !errors.Is(err, hyper.ErrRuns) {
		t.Errorf("second start: %v; want %q", err, hyper.ErrRuns)
	}
	again, err := hyper.Find(h.Dir(), nil)
	if err != nil || again.PID() != h.PID() {
		t.Fatalf("found %+v, %v", again, err)
	}
	if err := h.Launch(ctx, lab.Program{Name: "sleeper", Args: []string{"sleep", "infinity"}}); err != nil {
		t.Fatal(err)
	}
	before := pids(t, again, "libvirtd")
	if err := again.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	after := pids(t, h, "libvirtd")
	if len(before) == 0 || len(after) == 0 || slices.Contains(before, after[0]) {
		t.Errorf("libvirtd was %v and is %v", before, after)
	}
	if err := again.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(h.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory is still there: %v", err)
	}
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range environs {
		if env, err := os.ReadFile(path); err == nil && strings.Contains(string(env), "="+h.Dir()+"\x00") {
			t.Errorf("a process of the host is still there: %s", path)
		}
	}
	if _, err := hyper.Find(h.Dir(), nil); !errors.Is(err, hyper.ErrNone) {
		t.Errorf("found after stop: %v", err)
	}
	if err := h.Command(ctx, "true").Run(); !errors.Is(err, hyper.ErrNone) {
		t.Errorf("run on a stopped host: %v; want %q", err, hyper.ErrNone)
	}
	if err := h.Stop(ctx); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

func pids(t *testing.T, h *hyper.Host, program string) []int {
	t.Helper()
	found, err := h.PIDs(program)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// The one who started it is killed; the host lives on and can be stopped.
func TestHostOutlivesItsMaker(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	dir := place(t)
	maker := exec.CommandContext(t.Context(), os.Args[0])
	maker.Env = append(os.Environ(), makerDir+"="+dir)
	if out, err := maker.CombinedOutput(); maker.ProcessState == nil || !strings.Contains(fmt.Sprint(err), "killed") {
		t.Fatalf("maker ended with %v: %s", err, out)
	}
	h, err := hyper.Find(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := h.Run(t.Context(), "virsh", "-c", h.URI(), "uri"); err != nil {
		t.Error(out, err)
	}
	if err := hyper.Stop(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

func TestHostHasPrivateFolders(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	ctx := t.Context()
	dir := place(t)
	theirs := filepath.Join(t.TempDir(), "with space")
	if err := os.MkdirAll(theirs, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(theirs, "old"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := hyper.Start(ctx, hyper.Options{Dir: dir, Private: []string{theirs, "/etc", "/var/lib"}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.Run(ctx, "sh", "-euc", `cd "$1"; cat old; echo new >new; echo changed >old; touch /etc/nicferry-hyper-test /var/lib/nicferry-hyper-test; ls; stat -c %a .; ls /etc/libvirt/libvirtd.conf`, "sh", theirs)
	if want := "oldnew\nold\n750\n/etc/libvirt/libvirtd.conf\n"; err != nil || out != want {
		t.Errorf("the host sees %q, %v; want %q", out, err, want)
	}
	names, err := filepath.Glob(filepath.Join(theirs, "*"))
	text, readErr := os.ReadFile(filepath.Join(theirs, "old"))
	if err != nil || readErr != nil || len(names) != 1 || string(text) != "old" {
		t.Errorf("the machine has %q in %v, %v, %v; want what was there before", text, names, err, readErr)
	}
	for _, name := range []string{"/etc/nicferry-hyper-test", "/var/lib/nicferry-hyper-test"} {
		if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the machine has %s: %v", name, err)
		}
	}
	for _, bad := range []string{"relative", "/etc/", "/et:c", "/", filepath.Dir(dir), "/nonexistent-folder"} {
		other := filepath.Join(filepath.Dir(dir), "other")
		if h, err := hyper.Start(ctx, hyper.Options{Dir: other, Private: []string{bad}}); err == nil {
			t.Errorf("started with private %q", bad)
			_ = h.Stop(ctx)
		}
		if _, err := os.Lstat(other); err == nil {
			t.Errorf("a host that did not start with private %q left its directory", bad)
		}
	}
}

func TestHostIsOnlyMadeWhereItMayBeRemoved(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", "relative", "/run/nicferry-h", "/etc/nicferry-h", "/tmp/../tmp/h", full, "/tmp/" + strings.Repeat("x", 80)} {
		if h, err := hyper.Start(t.Context(), hyper.Options{Dir: dir}); err == nil {
			t.Errorf("started at %q", dir)
			_ = h.Stop(t.Context())
		}
	}
	if err := hyper.Stop(t.Context(), full); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(full, "precious")); err != nil {
		t.Errorf("stop removed what is not its own: %v", err)
	}
}
