//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// A machine is what a reader of figures wants to know of where they are from.
type machine struct {
	kernel, cpu string
	cpus        int
	load        float64 // over the last minute, before anything was started
	hypervisor  bool
	before      cpuTime
	steal       float64 // the part of the time that a hypervisor took, while measuring
}

// cpuTime is from the first line of /proc/stat, in ticks.
type cpuTime struct{ all, stolen int64 }

func look() (machine, error) {
	m := machine{cpus: runtime.NumCPU()}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, err
	}
	m.kernel = strings.TrimSpace(string(release))
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return m, err
	}
	first, _, _ := strings.Cut(string(load), " ")
	if m.load, err = strconv.ParseFloat(first, 64); err != nil {
		return m, fmt.Errorf("read /proc/loadavg: %w", err)
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m, err
	}
	if name := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(info); name != nil {
		m.cpu = string(name[1])
	}
	m.hypervisor = bytes.Contains(info, []byte(" hypervisor"))
	m.before, err = readCPU()
	return m, err
}

// busy says why figures from the machine would not be its own; "" if it is idle.
func (m machine) busy() string {
	if m.load > float64(m.cpus) {
		return fmt.Sprintf("the machine is busy: load %.2f on %d CPUs", m.load, m.cpus)
	}
	return ""
}

// stolen notes how much of the time since look another machine had.
func (m *machine) stolen() {
	now, err := readCPU()
	if err == nil && now.all > m.before.all {
		m.steal = float64(now.stolen-m.before.stolen) / float64(now.all-m.before.all)
	}
}

func readCPU() (cpuTime, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTime{}, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return cpuTime{}, fmt.Errorf("read /proc/stat: %q has too few fields", line)
	}
	var t cpuTime
	for i, f := range fields[1:9] { // the rest is counted in these already
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return t, fmt.Errorf("read /proc/stat: %w", err)
		}
		t.all += v
		if i == 7 {
			t.stolen = v
		}
	}
	return t, nil
}
