//go:build linux

package main

import (
	"os"
	"strings"

	"github.com/nicferry/nicferry/internal/version"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers"
)

// inventory is what the controller is told of this machine. What cannot be
// read stays empty: nothing is decided on it.
func inventory(engine *containers.Engine, moves bool) nic.Inventory {
	return nic.Inventory{
		Boot:         firstLine("/proc/sys/kernel/random/boot_id"),
		Kernel:       firstLine("/proc/sys/kernel/osrelease"),
		Docker:       engine.Version(),
		AgentVersion: version.Get().Version,
		Moves:        moves,
	}
}

func firstLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}
