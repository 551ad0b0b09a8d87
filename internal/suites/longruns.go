package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// longRunsFile has the last long run of each suite. It is committed: who changes
// something sees what the long tests last said, and of which commit.
const longRunsFile = "docs/test-long.md"

const longRunsHead = "# The last long runs\n" + `
` + "`make test-long` runs each test in random order, three times or `TIMES=n`, with the parts\n" +
	"that are too long for `make test`, and writes its rows here.\n" + `
| suite | passed | failed | skipped | seconds | date (UTC) | commit | machine |
|---|---|---|---|---|---|---|---|
`

// saveLongRuns replaces the rows of the suites that ran, and keeps the others.
func saveLongRuns(path string, done []outcome, at time.Time, commit, machine string) error {
	rows, err := loadLongRuns(path)
	if err != nil {
		return fmt.Errorf("save long runs: %w", err)
	}
	for _, o := range done {
		c := countLeaves(o.Results)
		rows[o.Suite.Name] = fmt.Sprintf("| %s | %d | %d | %d | %.0f | %s | %s | %s |\n", o.Suite.Name,
			c.Passed, c.Failed, c.Skipped, o.Took.Seconds(), at.UTC().Format("2006-01-02 15:04"), commit, machine)
	}
	text := bytes.NewBufferString(longRunsHead)
	for _, s := range table() {
		text.WriteString(rows[s.Name])
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("save long runs: %w", err)
	}
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("save long runs: %w", err)
	}
	return nil
}

// loadLongRuns reads the rows by suite; none if there is no file.
func loadLongRuns(path string) (map[string]string, error) {
	rows := map[string]string{}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return rows, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			rows[strings.TrimSpace(cells[1])] = line
		}
	}
	return rows, nil
}

// commitOf is the commit of a tree, with "-dirty" if files differ from it.
func commitOf(ctx context.Context, root string) string {
	cmd := exec.CommandContext(ctx, "git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "unknown" // no git, or not a clone
	}
	return strings.TrimSpace(string(out))
}

// machine says in a few words how fast this one may be.
func machine() string {
	words := []string{fmt.Sprintf("%d CPUs", runtime.NumCPU())}
	var kib int
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		if _, err := fmt.Sscanf(string(info), "MemTotal: %d kB", &kib); err == nil {
			words = append(words, fmt.Sprintf("%d GiB", kib>>20))
		}
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		version, _, _ := strings.Cut(strings.TrimSpace(string(release)), "-")
		words = append(words, "Linux "+version)
	}
	return strings.Join(append(words, runtime.GOARCH), ", ")
}
