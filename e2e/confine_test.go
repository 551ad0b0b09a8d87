//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A confinement is what systemd does to a service before it executes it, as
// far as the kernel can show it without systemd: mounts, then identity and
// capabilities (by setpriv), then system calls. The test's own program does
// the first and the last, between exec and exec.
type confinement struct {
	Writable []string          // below a file system that is read-only else
	Set      []string          // setpriv's arguments
	Calls    []uint32          // system calls that are allowed
	Only     map[uint32]choice // of these only with an argument among these
	Args     []string          // the service itself
}

// A choice bounds one argument of a system call.
type choice struct {
	Arg    int
	Values []uint32
}

// confineEnv carries a confinement through the program's environment.
const confineEnv = "NICFERRY_E2E_CONFINE"

// stages are the program's own first arguments when it is a stage.
const (
	stageMounts = "confine-mounts"
	stageCalls  = "confine-calls"
)

// command is what to run, and the environment to run it with. It is the
// service's own process at the end. self is this program, where all may
// execute it.
func (c confinement) command(self string) (args, env []string, err error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, nil, err
	}
	return []string{"unshare", "--mount", "--propagation", "slave", self, stageMounts}, []string{confineEnv + "=" + string(text)}, nil
}

// stage carries out a stage, if this process is one, and does not return then.
func stage() {
	if len(os.Args) != 2 || os.Args[1] != stageMounts && os.Args[1] != stageCalls {
		return
	}
	if err := runStage(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
	}
	os.Exit(99)
}

func runStage(name string) error {
	var c confinement
	if err := json.Unmarshal([]byte(os.Getenv(confineEnv)), &c); err != nil {
		return err
	}
	args, env := c.Args, slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, confineEnv) })
	// A service manager names the process that is to give signs of life.
	env = append(env, "WATCHDOG_PID="+strconv.Itoa(os.Getpid()))
	if name == stageMounts {
		if err := c.mounts(); err != nil {
			return err
		}
		self, err := os.Executable()
		if err != nil {
			return err
		}
		args, env = append(append([]string{"setpriv"}, c.Set...), self, stageCalls), os.Environ()
	} else if err := c.calls(); err != nil {
		return err
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, args, env)
}

// mounts does what ProtectSystem=strict does.
func (c confinement) mounts() error {
	for _, dir := range c.Writable {
		if err := unix.Mount(dir, dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("bind %s: %w", dir, err)
		}
	}
	readOnly := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, readOnly); err != nil {
		return fmt.Errorf("make / read-only: %w", err)
	}
	writable := &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	for _, dir := range append([]string{"/proc", "/sys", "/dev"}, c.Writable...) {
		if err := unix.MountSetattr(unix.AT_FDCWD, dir, unix.AT_RECURSIVE, writable); err != nil {
			return fmt.Errorf("make %s writable: %w", dir, err)
		}
	}
	return nil
}

// calls allows the listed system calls and makes all others fail with EPERM.
func (c confinement) calls() error {
	// struct seccomp_data: nr at 0, arch at 4, args of 64 bits from 16.
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}}
	is := func(v uint32, not uint8) {
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: not, K: v})
	}
	answer := func(k uint32) {
		program = append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k})
	}
	const refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	for nr, only := range c.Only {
		is(nr, uint8(2+2*len(only.Values)))
		program = append(program, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(16 + 8*only.Arg)})
		for _, v := range only.Values {
			is(v, 1)
			answer(unix.SECCOMP_RET_ALLOW)
		}
		answer(refuse)
	}
	for _, nr := range c.Calls {
		is(nr, 1)
		answer(unix.SECCOMP_RET_ALLOW)
	}
	answer(refuse)
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return fmt.Errorf("set the filter of system calls: %w", errno)
	}
	return nil
}

// confine reads from the unit what its service may do. Paths are given, as
// they are the test's own.
func (u unit) confine(writable []string, ids []string, args ...string) (confinement, error) {
	c := confinement{Writable: writable, Args: args}
	bounding := "-all"
	for _, name := range u.words("Service.CapabilityBoundingSet") {
		bounding += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	c.Set = append([]string{"--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=" + bounding}, ids...)
	numbers, err := callNumbers()
	if err != nil {
		return c, err
	}
	if c.Calls, err = u.callsAllowed(numbers); err != nil {
		return c, err
	}
	families := choice{Arg: 0}
	for _, name := range u.words("Service.RestrictAddressFamilies") {
		number, ok := map[string]uint32{
			"AF_UNIX": unix.AF_UNIX, "AF_INET": unix.AF_INET, "AF_INET6": unix.AF_INET6,
			"AF_NETLINK": unix.AF_NETLINK, "AF_PACKET": unix.AF_PACKET,
		}[name]
		if !ok {
			return c, fmt.Errorf("address family %s: not known", name)
		}
		families.Values = append(families.Values, number)
	}
	c.Only = map[uint32]choice{numbers["socket"]: families}
	switch spaces := u.one("Service.RestrictNamespaces"); spaces {
	case "yes":
		c.Only[numbers["setns"]], c.Only[numbers["unshare"]] = choice{}, choice{}
	case "net":
		c.Only[numbers["setns"]] = choice{Arg: 1, Values: []uint32{unix.CLONE_NEWNET}}
		c.Only[numbers["unshare"]] = choice{Arg: 0, Values: []uint32{unix.CLONE_NEWNET}}
	default:
		return c, fmt.Errorf("RestrictNamespaces=%s: not known", spaces)
	}
	return c, nil
}

// callsAllowed works out SystemCallFilter= line by line, as systemd does.
func (u unit) callsAllowed(numbers map[string]uint32) (allowed []uint32, err error) {
	text, err := os.ReadFile(filepath.Join("testdata", "syscall-sets"))
	if err != nil {
		return nil, err
	}
	sets := map[string][]string{}
	set := ""
	for line := range strings.Lines(string(text)) {
		switch {
		case line[0] == '#':
		case line[0] == '@':
			set = strings.TrimSpace(line)
		default:
			sets[set] = append(sets[set], strings.Fields(line)...)
		}
	}
	names := map[string]bool{"execve": true} // systemd's own last step
	for _, line := range u["Service.SystemCallFilter"] {
		line, deny := strings.CutPrefix(line, "~")
		for _, name := range strings.Fields(line) {
			calls, ok := sets[name]
			if !ok {
				return nil, fmt.Errorf("SystemCallFilter=%s: %s is not in testdata/syscall-sets", line, name)
			}
			for _, call := range calls {
				names[call] = !deny
			}
		}
	}
	for name, yes := range names {
		if nr, ok := numbers[name]; ok && yes {
			allowed = append(allowed, nr)
		}
	}
	if len(allowed) < 100 {
		return nil, errors.New("system calls: fewer than 100 are allowed, some list was not read")
	}
	return allowed, nil
}

// callNumbers are this machine's, from the sources that come with Go.
func callNumbers() (map[string]uint32, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("ask where Go is: %w", err)
	}
	path := filepath.Join(strings.TrimSpace(string(root)), "src/cmd/vendor/golang.org/x/sys/unix/zsysnum_linux_"+runtime.GOARCH+".go")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	numbers := map[string]uint32{}
	for _, m := range regexp.MustCompile(`(?m)^\tSYS_(\w+)\s+= (\d+)$`).FindAllStringSubmatch(string(text), -1) {
		nr, err := strconv.ParseUint(m[2], 10, 32)
		if err != nil {
			return nil, err
		}
		numbers[strings.ToLower(m[1])] = uint32(nr)
	}
	return numbers, nil
}
