package sriov

import (
	"fmt"
	"strconv"
	"strings"
)

// maxCPU bounds the numbers of processors, above the kernel's own 8192.
const maxCPU = 1 << 16

// NUMAOf is the node of a container's processors: of its cpuset, in the kernel's
// form such as 0-3,8, the node that has the most of them; None if two have as many,
// or the cpuset is empty, which is all of them. nodes are the processors of each
// node in that form. It errs for what is not in that form.
func NUMAOf(cpuset string, nodes map[int]string) (int, error) {
	wanted, err := parseCPUs(cpuset)
	if err != nil {
		return None, err
	}
	best, most, tie := None, 0, false
	for node, list := range nodes {
		has, err := parseCPUs(list)
		if err != nil {
			return None, fmt.Errorf("NUMA node %d: %w", node, err)
		}
		count := 0
		for cpu := range has {
			if wanted[cpu] {
				count++
			}
		}
		switch {
		case count > most:
			best, most, tie = node, count, false
		case count == most && count > 0:
			tie = true
		}
	}
	if tie {
		return None, nil
	}
	return best, nil
}

// parseCPUs reads a list of processors. The kernel writes an empty one too.
func parseCPUs(list string) (map[int]bool, error) {
	all := map[int]bool{}
	list = strings.TrimSpace(list)
	if list == "" {
		return all, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		from, fromErr := strconv.Atoi(first)
		to, toErr := strconv.Atoi(last)
		if fromErr != nil || toErr != nil || from < 0 || from > to || to >= maxCPU {
			return nil, fmt.Errorf("processors %q: want numbers such as 0-3,8", clip(list))
		}
		for cpu := from; cpu <= to; cpu++ {
			all[cpu] = true
		}
	}
	return all, nil
}
