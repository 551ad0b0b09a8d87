//go:build linux

package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Holder keeps a network namespace alive.
type Holder struct {
	// PID is a process that is in it, or has it open; 0 for a mount.
	PID int
	// Comm is what that process calls itself; anybody may choose it.
	Comm string
	// Mount is where it is mounted; empty for a process.
	Mount string
}

// String is for logs.
func (h Holder) String() string {
	if h.Mount != "" {
		return fmt.Sprintf("mount %q", h.Mount)
	}
	return fmt.Sprintf("process %d (%q)", h.PID, h.Comm)
}

// Holders says who keeps the namespace alive: processes of which a thread is
// in it or that have it open, and mounts. Our own process is not told of. It
// sees what /proc shows us: other users' processes only with CAP_SYS_PTRACE,
// mounts of our mount namespace only, and no sockets that outlived a move.
// A namespace that nobody holds gives none.
func Holders(id ID) ([]Holder, error) {
	var found []Holder
	err := walk(func(r reference) error {
		if r.id == id && (len(found) == 0 || r.holder.PID == 0 || found[len(found)-1].PID != r.holder.PID) {
			r.holder.Comm = comm(r.holder.PID)
			found = append(found, r.holder)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for holders of %s: %w", id, err)
	}
	return found, nil
}

// Live opens every namespace but the given ones that Holders could find a
// holder of, each once. The caller closes them.
func Live(but ...ID) (all []*Namespace, err error) {
	seen := map[ID]bool{}
	for _, id := range but {
		seen[id] = true
	}
	err = walk(func(r reference) error {
		if seen[r.id] {
			return nil
		}
		ns, err := Open(r.path)
		if err != nil {
			return nil // it ended meanwhile, or is not for us to enter
		}
		if seen[ns.ID()] { // another one by now
			return ns.Close()
		}
		seen[ns.ID()] = true
		all = append(all, ns)
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("look for network namespaces: %w", err), CloseAll(all))
	}
	return all, nil
}

// CloseAll lets all of them go.
func CloseAll(all []*Namespace) error {
	var errs []error
	for _, ns := range all {
		errs = append(errs, ns.Close())
	}
	return errors.Join(errs...)
}

// A reference is a path that keeps a namespace alive.
type reference struct {
	path   string
	id     ID
	holder Holder
}

// walk calls found for each reference that it sees; a process comes with all
// of its own in a row. Processes that end meanwhile are passed over.
func walk(found func(reference) error) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	own := os.Getpid()
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == own {
			continue
		}
		if err := walkProcess(pid, found); err != nil {
			return err
		}
	}
	return walkMounts(found)
}

func walkProcess(pid int, found func(reference) error) error {
	dir := fmt.Sprintf("/proc/%d", pid)
	for _, task := range names(filepath.Join(dir, "task")) {
		if err := visit(filepath.Join(dir, "task", task, "ns/net"), Holder{PID: pid}, found); err != nil {
			return err
		}
	}
	for _, fd := range names(filepath.Join(dir, "fd")) {
		path := filepath.Join(dir, "fd", fd)
		target, err := os.Readlink(path)
		// An nsfs file is "net:[…]"; one that was opened by a mount's path
		// has that path, such as /run/docker/netns/….
		if err != nil || !strings.HasPrefix(target, "net:[") && !strings.Contains(target, "/netns/") {
			continue
		}
		if err := visit(path, Holder{PID: pid}, found); err != nil {
			return err
		}
	}
	return nil
}

func names(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	list, _ := f.Readdirnames(-1) // what it got before the process ended
	return list
}

// visit tells of path, if it leads to a namespace.
func visit(path string, h Holder, found func(reference) error) error {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if unix.Statfs(path, &fs) != nil || fs.Type != unix.NSFS_MAGIC || unix.Stat(path, &st) != nil {
		return nil
	}
	return found(reference{path: path, id: ID{Dev: st.Dev, Ino: st.Ino}, holder: h})
}

func walkMounts(found func(reference) error) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 5 || !strings.HasPrefix(fields[3], "net:[") {
			continue
		}
		path := unescape(fields[4])
		if err := visit(path, Holder{Mount: path}, found); err != nil {
			return err
		}
	}
	return nil
}

// unescape undoes the kernel's octal writing of blanks and backslashes.
func unescape(s string) string {
	for _, c := range " \t\n" {
		s = strings.ReplaceAll(s, fmt.Sprintf(`\%03o`, c), string(c))
	}
	return strings.ReplaceAll(s, `\134`, `\`)
}

func comm(pid int) string {
	if pid == 0 {
		return ""
	}
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) // empty if it has ended
	return strings.TrimSuffix(string(b), "\n")
}
