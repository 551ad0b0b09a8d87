package allocator_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/nic"
)

// What the process that is measured is told: the store, and where the profile of its
// memory goes, which is optional.
const (
	memoryStore   = "NICFERRY_BENCH_STORE"
	memoryProfile = "NICFERRY_BENCH_PROFILE"
)

// BenchmarkMemory measures the memory of a controller that has recovered so many claims
// and served a thousand more. It is that of a process of its own, which nothing else was in.
//
//	go test ./allocator -run '^$' -bench Memory/claims=500000 -benchtime 1x -timeout 1h
func BenchmarkMemory(b *testing.B) {
	for _, claims := range []int{100_000, 500_000} {
		b.Run(fmt.Sprint("claims=", claims), func(b *testing.B) {
			path := os.Getenv(memoryStore)
			if path != "" {
				measureMemory(b, path)
				return
			}
			path = filepath.Join(b.TempDir(), "store.db")
			manyClaims(b, path, claims, claims/perNode)
			b.ResetTimer()
			for b.Loop() {
				cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run", "^$", "-test.bench", fmt.Sprintf("Memory/claims=%d$", claims), "-test.benchtime", "1x")
				cmd.Env = append(os.Environ(), memoryStore+"="+path, "GOGC=300", "GOMEMLIMIT=768MiB") // as nicferryd has it
				out, err := cmd.CombinedOutput()
				if err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				for line := range strings.Lines(string(out)) {
					var value float64
					var unit string
					if n, _ := fmt.Sscanf(line, "measured %f %s", &value, &unit); n == 2 {
						b.ReportMetric(value, unit)
					}
				}
			}
		})
	}
}

// servedMore is how many claims are served by a controller that has recovered.
const servedMore = 1000

// measureMemory opens the store and prints what the process takes, the most of it while
// the store is opened and from then on.
func measureMemory(b *testing.B, path string) {
	begin := time.Now()
	r := openClaimRig(b, path, boltstore.Options{})
	defer r.stop()
	fmt.Println("\nmeasured", r.opened.Seconds(), "open-s")
	fmt.Println("measured", ofProcess(b, "VmHWM"), "open-peak-MiB")
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // VmHWM begins anew
		b.Fatal(err)
	}
	if _, err := r.alloc.Hello(b.Context(), "new", nic.Inventory{Boot: "b"}); err != nil {
		b.Fatal(err)
	}
	for range servedMore {
		claim, err := r.claim("new", rand.Int64())
		if err != nil {
			b.Fatal(err)
		}
		r.untilReady(b, claim)
	}
	r.untilLooked(b)
	fmt.Println("measured", time.Since(begin).Seconds(), "looked-s")
	fmt.Println("measured", processorTime(b).Seconds(), "cpu-s")
	fmt.Println("measured", ofProcess(b, "VmHWM"), "peak-MiB")
	fmt.Println("measured", ofProcess(b, "VmRSS"), "rss-MiB")
	fmt.Println("measured", ofProcess(b, "RssAnon"), "anon-MiB")
	fmt.Println("measured", ofProcess(b, "RssFile"), "of-file-MiB")
	debug.FreeOSMemory()
	fmt.Println("measured", ofProcess(b, "VmRSS"), "least-rss-MiB")
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("measured", float64(stats.HeapAlloc)/(1<<20), "heap-MiB")
	if to := os.Getenv(memoryProfile); to != "" {
		f, err := os.Create(to)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		if err := pprof.WriteHeapProfile(f); err != nil {
			b.Fatal(err)
		}
	}
}

// ofProcess is a figure of /proc/self/status in MiB.
func ofProcess(b *testing.B, what string) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, what+": %f kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	b.Fatalf("no %s in /proc/self/status", what)
	return 0
}
