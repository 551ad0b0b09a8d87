// Package conf reads the YAML files of the controller and of the agent, and
// tells everything that is wrong with a file at once.
package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// The files that are read unless a flag says otherwise.
const (
	ControllerPath = "/etc/nicferry/nicferryd.yaml"
	AgentPath      = "/etc/nicferry/agent.yaml"
)

// maxSize is the largest file read, in bytes. A file of a thousand networks is
// a tenth of it.
const maxSize = 1 << 20

// version of the files that this package reads.
const version = 1

// LoadController reads the controller's file. An error with [Faults] in its
// chain says what is wrong inside the file; any other says that the file could
// not be read, and is fs.ErrNotExist if there is none.
func LoadController(path string) (*Controller, error) {
	data, err := read(path, "examples/nicferryd.yaml")
	if err != nil {
		return nil, err
	}
	return ParseController(path, data)
}

// LoadAgent reads the agent's file, with the errors of [LoadController].
func LoadAgent(path string) (*Agent, error) {
	data, err := read(path, "examples/agent.yaml")
	if err != nil {
		return nil, err
	}
	return ParseAgent(path, data)
}

// read returns at most one byte more than maxSize, which the parser refuses.
func read(path, sample string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read config: %w; write it from the commented sample %s", err, sample)
	}
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	if !info.Mode().IsRegular() { // a pipe would make us wait for its writer
		return nil, fmt.Errorf("read config %s: is a %s, not a file", path, kindOf(info.Mode()))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	return data, nil
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeNamedPipe != 0:
		return "pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}
