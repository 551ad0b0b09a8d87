//go:build linux

package labtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// commitLine is what a file with a commit has besides its comments.
var commitLine = regexp.MustCompile(`^[0-9a-f]{40}$`)

// Previous builds nicferry's programs as they were at the commit that a file
// names, out of the history of the repository at root, without C. They stay in
// root/build by commit, and are built once. What the history lacks is fetched
// where it was cloned from, if that is a directory of this machine; else the error
// says what to do.
func Previous(ctx context.Context, root, file string) (dir string, err error) {
	commit, err := readCommit(file)
	if err != nil {
		return "", err
	}
	dir, err = filepath.Abs(filepath.Join(root, "build", "previous", commit))
	if err != nil {
		return "", err
	}
	unlock, err := lockBuild(filepath.Dir(dir))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := ensureCommit(ctx, root, commit); err != nil {
		return "", err
	}
	if err := buildCommit(ctx, root, commit, dir); err != nil {
		return "", fmt.Errorf("build the programs of commit %.12s: %w", commit, err)
	}
	return dir, nil
}

// lockBuild has one process and goroutine at a time build, and others wait.
func lockBuild(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", lock.Name(), err), lock.Close())
	}
	return func() { _ = lock.Close() }, nil // the kernel lets go of it with the file
}

// readCommit reads the one line that is no comment.
func readCommit(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			found = append(found, line)
		}
	}
	if len(found) != 1 || !commitLine.MatchString(found[0]) {
		return "", fmt.Errorf("%s: want one whole commit besides comments, have %q", file, found)
	}
	return found[0], nil
}

// ensureCommit sees to it that the history has the commit.
func ensureCommit(ctx context.Context, root, commit string) error {
	has := func() bool { _, err := git(ctx, root, "cat-file", "-e", commit+"^{commit}"); return err == nil }
	if has() {
		return nil
	}
	help := fmt.Errorf("the history in %s lacks commit %s, of the release before: clone all of it, or run there: git fetch --unshallow, or: git fetch origin %s", root, commit, commit)
	origin, err := git(ctx, root, "config", "remote.origin.url")
	if err != nil {
		return help
	}
	from := strings.TrimPrefix(strings.TrimSpace(origin), "file://")
	if info, err := os.Stat(from); err != nil || !filepath.IsAbs(from) || !info.IsDir() {
		return help // a test does not ask the network
	}
	var errs []error
	for _, args := range [][]string{{"fetch", "--quiet", "--unshallow", "origin"}, {"fetch", "--quiet", "origin", commit}} {
		_, err := git(ctx, root, args...)
		if has() {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(append([]error{help}, errs...)...)
}

// buildCommit puts the commit's programs into dir, which is there when all are.
func buildCommit(ctx context.Context, root, commit, dir string) (err error) {
	work, err := os.MkdirTemp("", "nicferry-previous-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	source := filepath.Join(work, "source")
	if err := os.Mkdir(source, 0o700); err != nil {
		return err
	}
	archive := filepath.Join(work, "source.tar")
	if _, err := git(ctx, root, "archive", "--output="+archive, commit); err != nil {
		return err
	}
	if _, err := run(exec.CommandContext(ctx, "tar", "-xf", archive, "-C", source)); err != nil {
		return err
	}
	out, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out,
		"./cmd/nicferryd", "./cmd/nicferry-agent", "./cmd/nicferry")
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if _, err := run(build); err != nil {
		return errors.Join(err, os.RemoveAll(out))
	}
	return os.Rename(out, dir)
}

// git runs git in the repository, whoever owns that, and returns what it prints.
func git(ctx context.Context, root string, args ...string) (string, error) {
	return run(exec.CommandContext(ctx, "git", append([]string{"-C", root, "-c", "safe.directory=*"}, args...)...))
}

func run(cmd *exec.Cmd) (string, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), err
}
