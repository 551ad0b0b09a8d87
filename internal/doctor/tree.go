package doctor

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// What is read of a machine that may be anybody's.
const (
	maxFile    = 1 << 20 // bytes of one file; the rest is not looked at
	maxEntries = 4096    // of one directory
)

// A tree is a machine's file system, from its root on.
type tree string

func (t tree) path(name string) string { return filepath.Join(string(t), name) }

// read returns the text of a regular file; false where there is none, or it
// cannot be read. It waits for nobody: a pipe is not opened for its other end.
func (t tree) read(name string) (string, bool) {
	f, err := os.OpenFile(t.path(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", false // such as /dev/null, with which systemd masks files
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	return string(text), err == nil
}

// word is the text of a file of one line; empty where there is none.
func (t tree) word(name string) string {
	text, _ := t.read(name)
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}

// list returns the names in a directory, sorted; none where there is none.
func (t tree) list(dir string) []string {
	if mode, ok := t.mode(dir); !ok || !mode.IsDir() {
		return nil
	}
	f, err := os.Open(t.path(dir))
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(maxEntries) // what came before an error is there
	slices.Sort(names)
	return names
}

func (t tree) exists(name string) bool {
	_, err := os.Lstat(t.path(name))
	return err == nil
}

func (t tree) anyExists(names ...string) bool { return slices.ContainsFunc(names, t.exists) }

// mode is a file's kind and rights.
func (t tree) mode(name string) (fs.FileMode, bool) {
	info, err := os.Stat(t.path(name))
	if err != nil {
		return 0, false
	}
	return info.Mode(), true
}

// owner is the name of the user that a file belongs to, as this machine's
// passwd has it, or the number.
func (t tree) owner(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "unknown"
	}
	return t.byNumber("etc/passwd", strconv.Itoa(int(stat.Uid)))
}

// group is the same for its group.
func (t tree) group(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "unknown"
	}
	return t.byNumber("etc/group", strconv.Itoa(int(stat.Gid)))
}

// byNumber finds a name in passwd or group; root is 0 also where there is none.
func (t tree) byNumber(file, number string) string {
	text, _ := t.read(file)
	for line := range strings.Lines(text) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) > 2 && f[2] == number {
			return f[0]
		}
	}
	if number == "0" {
		return "root"
	}
	return number
}

// members are the users in a group by its line; false if there is no such group.
func (t tree) members(group string) ([]string, bool) {
	text, _ := t.read("etc/group")
	for line := range strings.Lines(text) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) > 3 && f[0] == group {
			return strings.Split(f[3], ","), true
		}
	}
	return nil, false
}

// A layer is one file of a configuration that is spread over directories.
type layer struct {
	name string // base name
	path string
}

// layers lists the files with the ending in the directories. A file hides those
// of its name in later directories; the files count in the order of their names.
func (t tree) layers(ending string, dirs ...string) []layer {
	var found []layer
	for _, dir := range dirs {
		for _, name := range t.list(dir) {
			hidden := slices.ContainsFunc(found, func(l layer) bool { return l.name == name })
			if strings.HasSuffix(name, ending) && !hidden {
				found = append(found, layer{name, filepath.Join(dir, name)})
			}
		}
	}
	slices.SortFunc(found, func(a, b layer) int { return strings.Compare(a.name, b.name) })
	return found
}

// process says whether a program of that name runs. Kernels tell 15 bytes of it.
func (t tree) process(name string) bool {
	name = name[:min(len(name), 15)]
	return slices.ContainsFunc(t.pids(), func(pid string) bool { return t.word("proc/"+pid+"/comm") == name })
}

func (t tree) pids() []string {
	return slices.DeleteFunc(t.list("proc"), func(name string) bool { return strings.Trim(name, "0123456789") != "" })
}

// enabled says whether systemd starts a unit of its own accord.
func (t tree) enabled(unit string) bool {
	for _, dir := range []string{"etc/systemd/system", "run/systemd/system"} {
		for _, name := range t.list(dir) {
			if strings.HasSuffix(name, ".wants") && t.exists(filepath.Join(dir, name, unit)) {
				return true
			}
		}
	}
	return false
}
