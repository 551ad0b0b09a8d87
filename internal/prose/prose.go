// Package prose reads the commands out of the project's documents, so that
// tests can run them.
package prose

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A Fence is a fenced block of a document, with what the comment before it says.
type Fence struct {
	File     string
	Line     int // of the ``` that opens it
	Language string
	Text     string
	// Run names what the commands belong to: a test runs all fences of a name,
	// in their order. NotRun says why no test does, and Marked that there is one
	// of the two.
	Run, NotRun string
	Marked      bool
}

// documents are the patterns of the files whose commands are held to be true.
var documents = [...]string{"README.md", "docs/*.md", "examples/*/README.md"}

// Read reads all documents of the project at root.
func Read(root string) ([]Fence, error) {
	var all []Fence
	var errs []error
	for _, pattern := range documents {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, fmt.Errorf("look for documents: %w", err)
		}
		for _, path := range paths {
			name, err := filepath.Rel(root, path)
			if err != nil {
				return nil, fmt.Errorf("look for documents: %w", err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("read document: %w", err)
			}
			fences, err := Parse(name, string(text))
			all, errs = append(all, fences...), append(errs, err)
		}
	}
	return all, errors.Join(errs...)
}

// marker is the comment before a fence.
var marker = regexp.MustCompile(`^<!-- (run|not run):\s*(.*?)\s*-->$`)

// Parse reads the fences of one document, in Markdown. Errors are a fence
// without an end and a marker that no fence follows.
func Parse(file, markdown string) ([]Fence, error) {
	var all []Fence
	var open *Fence
	var mark []string
	var errs []error
	for n, line := range strings.Split(markdown, "\n") {
		rest, tick := strings.CutPrefix(line, "```")
		switch {
		case open != nil && tick:
			all, open = append(all, *open), nil
		case open != nil:
			open.Text += line + "\n"
		case tick:
			open = &Fence{File: file, Line: n + 1, Language: rest}
			open.mark(mark)
			mark = nil
		case strings.TrimSpace(line) != "":
			if mark != nil {
				errs = append(errs, fmt.Errorf("%s:%d: %s stands before no fence", file, n+1, mark[0]))
			}
			mark = marker.FindStringSubmatch(line)
		}
	}
	if open != nil {
		errs = append(errs, fmt.Errorf("%s:%d: the fence has no end", file, open.Line))
	}
	if mark != nil {
		errs = append(errs, fmt.Errorf("%s: %s stands before no fence", file, mark[0]))
	}
	return all, errors.Join(errs...)
}

func (f *Fence) mark(found []string) {
	if found == nil {
		return
	}
	f.Marked = true
	if found[1] == "run" {
		f.Run = found[2]
	} else {
		f.NotRun = found[2]
	}
}

// Where is the fence's place, as FILE:LINE.
func (f Fence) Where() string { return fmt.Sprintf("%s:%d", f.File, f.Line) }

// HasCommands says whether a reader may type what is in the fence.
func (f Fence) HasCommands() bool {
	switch f.Language {
	case "console", "sh", "bash", "shell":
		return true
	}
	return f.Language == "" && slices.ContainsFunc(strings.Split(f.Text, "\n"), prompt.MatchString)
}

// Of are the fences of a name, in the order of files and lines.
func Of(fences []Fence, name string) []Fence {
	return slices.DeleteFunc(slices.Clone(fences), func(f Fence) bool { return f.Run != name })
}
