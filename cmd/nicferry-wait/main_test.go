//go:build linux

package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// program is nicferry-wait as it is shipped; TestMain builds it.
var program string

func TestMain(m *testing.M) { goleak.VerifyTestMain(builder{m}) }

type builder struct{ tests *testing.M }

func (b builder) Run() int {
	dir, err := os.MkdirTemp("", "nicferry-wait-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "nicferry-wait")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build nicferry-wait: %v\n%s", err, out)
		return 1
	}
	return b.tests.Run()
}

// writeProgram writes what is to be run.
func writeProgram(t *testing.T, path string, content []byte) {
	t.Helper()
	syscall.ForkLock.RLock() // no child has it open for writing, which is "text file busy"
	err := os.WriteFile(path, content, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts the program in a namespace.
func start(t *testing.T, ns *netns.Namespace, cmd *exec.Cmd) {
	t.Helper()
	if err := ns.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
}

// ended waits for the program's end and returns its exit code.
func ended(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	limit := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if ok && !exit.Exited() {
		t.Fatalf("killed by %s", exit)
	}
	return cmd.ProcessState.ExitCode()
}

// inNamespace runs the program to its end.
func inNamespace(t *testing.T, ns *netns.Namespace, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	start(t, ns, cmd)
	return ended(t, cmd), out.String(), words.String()
}

// link makes NAME, with a peer so that it has a carrier, and keeps IPv6
// addresses of it tentative for longer than any test takes.
func link(t *testing.T, ns *netns.Namespace, name string) {
	t.Helper()
	netnstest.Run(t, ns, "ip", "link", "add", name, "type", "veth", "peer", "name", "peer-"+name)
	netnstest.Run(t, ns, "sh", "-c", "echo 100 >/proc/sys/net/ipv6/conf/"+name+"/dad_transmits")
	netnstest.Run(t, ns, "ip", "link", "set", "peer-"+name, "up")
}

// What is not enough, with the words for it, and what is.
func TestStates(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	for _, state := range []struct {
		set  []string // arguments of ip
		args string
		want string // in stderr; empty if the command is started
	}{
		{nil, "", `"eth0" does not exist after 50ms: is nicferry-agent running`},
		{[]string{"addr", "add", "10.77.0.10/24", "dev", "eth0"}, "", "is down"},
		{[]string{"link", "set", "eth0", "up"}, "", ""},
		{nil, "--address v4", ""},
		{nil, "--address v6", "has no IPv6 address"},
		{[]string{"addr", "del", "10.77.0.10/24", "dev", "eth0"}, "", "has no address"},
		{[]string{"addr", "add", "169.254.1.1/16", "dev", "eth0"}, "", "has no address"},
		{nil, "--address v4", "has no IPv4 address"},
		{[]string{"addr", "add", "fe80::1/64", "dev", "eth0", "nodad"}, "", "has no address"},
		{[]string{"addr", "add", "fd77::10/64", "dev", "eth0"}, "", "still probing"},
		{nil, "--address v6", "still probing"},
		{[]string{"addr", "add", "fd77::11/64", "dev", "eth0", "nodad"}, "", ""},
		{nil, "--address v6", ""},
		{nil, "--address v4", "has no IPv4 address"},
		{nil, "--interface eth0 --interface eth1", `"eth1" does not exist`},
		{nil, "--interface peer-eth0 --interface eth0", `"peer-eth0" has no address`},
		{nil, "--interface lo --address v4", "has no IPv4 address"},
	} {
		if len(state.set) > 0 {
			if strings.HasPrefix(strings.Join(state.set, " "), "addr add 10.77") {
				link(t, ns, "eth0")
			}
			netnstest.Run(t, ns, "ip", state.set...)
		}
		limit := "50ms"
		if state.want == "" {
			limit = "10s"
		}
		args := append([]string{"--timeout", limit}, strings.Fields(state.args)...)
		code, stdout, stderr := inNamespace(t, ns, append(args, "--", "echo", "started")...)
		switch {
		case state.want == "" && (code != 0 || stdout != "started\n" || stderr != ""):
			t.Errorf("%v, %s: exit %d, %q, %q; want it started", state.set, state.args, code, stdout, stderr)
		case state.want != "" && (code != exitTimeout || stdout != "" || !strings.Contains(stderr, state.want)):
			t.Errorf("%v, %s: exit %d, %q, %q; want 124 and %q", state.set, state.args, code, stdout, stderr, state.want)
		}
	}
}

// The command starts when the last interface gets its address, and not before.
func TestStartsWhenAllAreThere(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	cmd := exec.Command(program, "--interface=eth0", "--interface=eth1", "ip", "-o", "-4", "addr")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start(t, ns, cmd)
	for _, name := range []string{"eth1", "eth0"} {
		link(t, ns, name)
		netnstest.Run(t, ns, "ip", "link", "set", name, "up")
		netnstest.Run(t, ns, "ip", "addr", "add", "10.77.0.1"+name[3:]+"/24", "dev", name)
	}
	if code := ended(t, cmd); code != 0 || !strings.Contains(out.String(), "10.77.0.10/24") || !strings.Contains(out.String(), "10.77.0.11/24") {
		t.Errorf("exit %d; the command saw:\n%s", code, out.String())
	}
}

// ready is a namespace with all that is waited for.
func ready(t *testing.T) *netns.Namespace {
	t.Helper()
	ns := netnstest.New(t)
	link(t, ns, "eth0")
	netnstest.Run(t, ns, "ip", "link", "set", "eth0", "up")
	netnstest.Run(t, ns, "ip", "addr", "add", "10.77.0.10/24", "dev", "eth0")
	return ns
}

func TestCommandGetsAllAsItWas(t *testing.T) {
	t.Parallel()
	ns := ready(t)
	args := []string{"/proc/self/cmdline", "--", "-h", "", "a b", "é\n\x01", "--timeout"}
	cmd := exec.Command(program, append([]string{"--", "head", "-c", "1000"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout = &out
	start(t, ns, cmd)
	ended(t, cmd) // head complains of what are no files
	if want := strings.Join(append([]string{"head", "-c", "1000"}, args...), "\x00") + "\x00"; !strings.Contains(out.String(), want) {
		t.Errorf("arguments %q, want %q", out.String(), want)
	}

	env := []string{"PATH=" + os.Getenv("PATH"), "EMPTY=", "LINES=a\nb", "GODEBUG=", "ÜML=ä=b"}
	cmd = exec.Command(program, "env", "-0")
	cmd.Env = env
	out.Reset()
	cmd.Stdout = &out
	start(t, ns, cmd)
	if code := ended(t, cmd); code != 0 || !slices.Equal(strings.Split(strings.TrimSuffix(out.String(), "\x00"), "\x00"), env) {
		t.Errorf("exit %d, environment %q, want %q", code, out.String(), env)
	}

	// Signals, open files and limits are those of before, too.
	cmd = exec.Command("sh", "-c", `trap "" HUP; grep -E "^Sig(Blk|Ign|Cgt)" /proc/self/status; ulimit -n; ls /proc/self/fd | wc -l; `+
		program+` sh -c 'grep -E "^Sig(Blk|Ign|Cgt)" /proc/self/status; ulimit -n; ls /proc/self/fd | wc -l; exit 7'`)
	out.Reset()
	cmd.Stdout = &out
	start(t, ns, cmd)
	code := ended(t, cmd)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if half := len(lines) / 2; code != 7 || half != 5 || !slices.Equal(lines[:half], lines[half:]) {
		t.Errorf("exit %d, want 7; without and with nicferry-wait:\n%s", code, out.String())
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	ns := ready(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"noformat": "neither", "lost": "#!/nowhere/sh\n"} {
		writeProgram(t, filepath.Join(dir, name), []byte(text))
	}
	for _, tt := range []struct {
		args string
		code int
		say  string
	}{
		{"--help", 0, ""},
		{"", exitUsage, "no command to start (see nicferry-wait --help)"},
		{"--interface nope nicferry-no-such-command", exitNotFound, `command "nicferry-no-such-command" in PATH`}, // told before the waiting
		{dir, exitNotExecutable, "is a directory"},
		{dir + "/noformat", exitNotExecutable, "exec format error"},
		{dir + "/lost", exitNotFound, "the interpreter that it asks for"},
		{"false", 1, ""},
	} {
		code, _, stderr := inNamespace(t, ns, strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(stderr, tt.say) || (tt.say == "") != (stderr == "") {
			t.Errorf("%s: exit %d, %q; want %d, %q", tt.args, code, stderr, tt.code, tt.say)
		}
	}
}

// As the first process of a container it must end by itself when asked to:
// the kernel gives a first process no signal that it has no handler for.
func TestSignalWhileWaitingAsFirstProcess(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		cmd := exec.Command(program, "--timeout", "0", "true")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		start(t, ns, cmd)
		awaitTimer(t, cmd.Process.Pid)
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if code := ended(t, cmd); code != exitSignal+int(sig) || !strings.Contains(stderr.String(), sig.String()) {
			t.Errorf("%s: exit %d, %q; want %d", sig, code, stderr.String(), exitSignal+int(sig))
		}
	}
}

// awaitTimer waits until the program has made its first timer, which it does
// after it has taken charge of its signals: then Go's runtime has a poller.
func awaitTimer(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			if to, err := os.Readlink(fd); err == nil && to == "anon_inode:[eventpoll]" {
				return
			}
		}
	}
	t.Fatalf("process %d made no timer within a minute", pid)
}

// An image from scratch has neither libraries nor /proc nor PATH.
func TestFromScratch(t *testing.T) {
	t.Parallel()
	ns := ready(t)
	root := t.TempDir()
	for to, from := range map[string]string{"nicferry-wait": program, "bin/echo": program} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, to)), 0o755); err != nil {
			t.Fatal(err)
		}
		writeProgram(t, filepath.Join(root, to), text)
	}
	cmd := exec.Command("/nicferry-wait", "echo", "--help") // it becomes itself
	cmd.Path, cmd.Err, cmd.Dir, cmd.Env = "/nicferry-wait", nil, "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWPID}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start(t, ns, cmd)
	if code := ended(t, cmd); code != 0 || out.String() != usage {
		t.Errorf("exit %d: %s", code, out.String())
	}
}

func TestProgramIsStaticAndSmall(t *testing.T) {
	t.Parallel()
	const most = 2_500_000 // bytes
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("nicferry-wait has %d bytes", info.Size())
	if info.Size() > most {
		t.Errorf("more than %d", most)
	}
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Error("needs a dynamic linker")
	}
}
