package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// heapGrowth is by how much the heap may grow before garbage is collected, in percent
	// of what is in use: that is little, tens of MB with a thousand nodes, and a crowd of
	// starts makes much garbage.
	heapGrowth = 300
	// mostMemory is where less than that is let go to garbage: with what is in memory of
	// the store's file it is less than 1 GiB, of which 500,000 claims use the half.
	mostMemory = 768 << 20
	// leastGrowth is what is left to garbage in any case, as a part of what is in use:
	// with less the processors would do little but collect.
	leastGrowth = 4
	// measureEvery is how often it is looked how much is in use.
	measureEvery = 5 * time.Second
)

// boundMemory keeps garbage from taking much memory where there are many claims, until
// ctx ends. What the environment says goes before.
func boundMemory(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	ticker := time.NewTicker(measureEvery)
	defer ticker.Stop()
	for {
		debug.SetMemoryLimit(memoryLimit(inUse()))
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// memoryLimit is how much memory there may be with so much in use.
func memoryLimit(inUse uint64) int64 {
	return max(mostMemory, int64(inUse+inUse/leastGrowth))
}

// inUse is what the last collection found in use, in bytes.
func inUse() uint64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if live[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return live[0].Value.Uint64()
}
