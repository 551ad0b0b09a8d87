package ecs

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

//go:embed itypes.tsv
var itypeText string

//go:embed buckets.tsv
var bucketText string

// rows are the lines of a table of n columns, of which those from the second on are
// numbers, but for the last, which is the source. They are part of the program.
func rows(name, text string, n int, add func(key string, numbers []int, source string)) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != n {
			panic(name + ": " + line)
		}
		var numbers []int
		for _, text := range f[1 : n-1] {
			v, err := strconv.Atoi(text)
			if err != nil {
				panic(name + ": " + line)
			}
			numbers = append(numbers, v)
		}
		add(f[0], numbers, f[n-1])
	}
}

var itypes = sync.OnceValue(func() []cloudsim.InstanceType {
	var all []cloudsim.InstanceType
	rows("itypes.tsv", itypeText, 6, func(name string, n []int, source string) {
		all = append(all, cloudsim.InstanceType{
			Name: name, MaxInterfaces: n[0], Cards: []int{n[0]}, Members: n[1] - n[0], IPv4PerInterface: n[2], IPv6PerInterface: n[3],
			Hypervisor: "kvm", Source: source,
		})
	})
	return all
})

// InstanceTypes is the table of types, with its sources.
func InstanceTypes() []cloudsim.InstanceType { return append([]cloudsim.InstanceType{}, itypes()...) }

// KnownBuckets are how often each call may be made, as far as that is known. Each says
// its source.
func KnownBuckets() cloudsim.Buckets {
	all := cloudsim.Buckets{}
	rows("buckets.tsv", bucketText, 3, func(name string, n []int, source string) {
		all[name] = cloudsim.Bucket{Burst: float64(n[0]), PerSecond: float64(n[0]) / 60, Source: source}
	})
	return all
}
