//go:build linux

package hyper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/retry"
)

const (
	// mark is the variable by which a host's first process is known. It is there
	// from its very start, so that no crash leaves a host that nobody finds.
	mark = "NICFERRY_HYPER_DIR"
	// privateMark is the variable that tells the first process what is private.
	privateMark = "NICFERRY_HYPER_PRIVATE"
	// marker is the file by which a directory is known as ours to remove.
	marker = "nicferry-hyper"
	// endTime bounds how long the end of a host is waited for.
	endTime = 20 * time.Second
)

// holdScript is what a host's first process does before it becomes an init that
// only reaps. /sys is mounted anew because it shows the network of who mounted
// it; /proc because it shows the processes of who mounted it. Private folders
// come before libvirt's, which are below some of them.
const holdScript = `set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/cgroup /run/libvirt /run/lock /run/netns
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --move /run/cgroup /sys/fs/cgroup
mount -t proc proc /proc
printf '%s' "$NICFERRY_HYPER_PRIVATE" | while read -r folder; do
	own=/run/private$folder
	mkdir -p "$own/upper" "$own/work"
	chmod --reference="$folder" "$own/upper"
	mount -t overlay -o "lowerdir=$folder,upperdir=$own/upper,workdir=$own/work" overlay "$folder"
done
mount --bind "$NICFERRY_HYPER_DIR/run" /run/libvirt
mount --bind "$NICFERRY_HYPER_DIR/etc" /etc/libvirt
mount --bind "$NICFERRY_HYPER_DIR/lib" /var/lib/libvirt
mount --bind "$NICFERRY_HYPER_DIR/cache" /var/cache/libvirt
mount --bind "$NICFERRY_HYPER_DIR/log" /var/log/libvirt
ip link set lo up
exec docker-init -- sh -c 'echo ready; exec sleep infinity >/dev/null 2>&1'`

// tools are the programs beside the lab's that a host runs.
var tools = []lab.Tool{
	{Name: "libvirtd", Package: "libvirt-daemon-system", Why: "what domains are kept with"},
	{Name: "qemu-system-x86_64", Package: "qemu-system-x86", Why: "what domains run in"},
	{Name: "docker-init", Package: "docker.io", Why: "the first process of the host"},
	{Name: "nsenter", Package: "util-linux", Why: "to run programs on the host"},
	{Name: "setsid", Package: "util-linux", Why: "to let them outlive who started them"},
	{Name: "setpriv", Package: "util-linux", Why: "to end programs with who started them"},
	{Name: "ip", Package: "iproute2", Why: "to make the host's network"},
	{Name: "mount", Package: "mount", Why: "to give the host folders of its own"},
}

// Missing lists the programs that a host needs and that are not installed.
func Missing() []lab.Tool {
	return slices.DeleteFunc(slices.Clone(tools), func(t lab.Tool) bool { return filepath.IsAbs(lab.Lookup(t.Name)) })
}

// ready says what keeps a host from starting.
func ready(dir string, private []string) error {
	if os.Geteuid() != 0 {
		return errors.New("it needs root, to make namespaces")
	}
	if filepath.Clean(dir) != dir || !filepath.IsAbs(dir) || len(dir) > 80 {
		return errors.New("its directory must be absolute, clean and at most 80 bytes long")
	}
	for _, own := range []string{"/run", "/var/run", "/etc", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/sys", "/proc"} {
		if dir == own || strings.HasPrefix(dir, own+"/") {
			return fmt.Errorf("its directory may not be below %s, of which it has its own", own)
		}
	}
	for _, folder := range private {
		if filepath.Clean(folder) != folder || !filepath.IsAbs(folder) || strings.ContainsAny(folder, ",:\\\n") {
			return fmt.Errorf("private folder %q must be absolute and clean, without comma, colon or backslash", folder)
		}
		if strings.HasPrefix(dir+"/", strings.TrimSuffix(folder, "/")+"/") {
			return fmt.Errorf("its directory may not be below %s, of which it has its own", folder)
		}
	}
	if err := lab.NotInstalled("it", Missing()); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return nil //nolint:nilerr // not there, or lock says why not
	}
	if _, err := os.Lstat(filepath.Join(dir, marker)); err != nil {
		return errors.New("its directory holds other things, and Stop would remove them")
	}
	return nil
}

// lock keeps others from starting and stopping next to us, and returns how to
// let go. What is locked is the parent: the directory itself comes and goes, and
// a file of its own would stay.
func lock(ctx context.Context, dir string) (unlock func(), err error) {
	if !filepath.IsAbs(dir) {
		return nil, errors.New("its directory must be absolute")
	}
	file, err := os.Open(filepath.Dir(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil // Start says so, and Stop has only processes to end
	}
	if err != nil {
		return nil, err
	}
	for unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		if err := retry.Sleep(ctx, 20*time.Millisecond); err != nil {
			return nil, errors.Join(fmt.Errorf("wait for another start or stop: %w", err), file.Close())
		}
	}
	return func() { _ = file.Close() }, nil
}

// hold starts the host's first process and returns its process id once it has
// mounted what a host needs.
func hold(ctx context.Context, dir string, private []string) (int, error) {
	if err := os.WriteFile(filepath.Join(dir, marker), nil, 0o600); err != nil {
		return 0, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "log", "hold.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd := exec.Command("sh", "-c", holdScript)
	cmd.Env = append(environ(dir), privateMark+"="+lines(private))
	cmd.Dir = "/"
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, // makes all mounts private as well
		Setsid:       true,                                       // it outlives the terminal
	}
	out, in, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer out.Close()
	cmd.Stdout = in
	err = errors.Join(cmd.Start(), in.Close())
	if err != nil {
		return 0, err
	}
	go func() { _ = cmd.Wait() }() // reaps it if it ends before us
	stop := context.AfterFunc(ctx, func() { _ = out.Close() })
	defer stop()
	if s, _ := bufio.NewReader(out).ReadString('\n'); s == "ready\n" {
		return cmd.Process.Pid, nil
	}
	text, _ := os.ReadFile(log.Name())
	return 0, errors.Join(ctx.Err(), fmt.Errorf("its first process ended early: %s", strings.TrimSpace(string(text))))
}

// lines puts one text on each.
func lines(texts []string) string {
	var b strings.Builder
	for _, t := range texts {
		b.WriteString(t + "\n")
	}
	return b.String()
}

// environ is ours, with plain English from the tools, which libvirtd's errors
// are told apart by, and with the host's mark.
func environ(dir string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "LIBVIRT_") || strings.HasPrefix(kv, "NOTIFY_SOCKET=") || strings.HasPrefix(kv, "LISTEN_")
	})
	return append(env, "LC_ALL=C", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin:/usr/bin:/bin", mark+"="+dir)
}
