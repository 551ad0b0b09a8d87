package cloudsim

import (
	_ "embed"
	"strconv"
	"sync"
	"time"
)

// A Bucket is how often an API may be called: Burst at once, PerSecond over time.
type Bucket struct {
	Burst, PerSecond float64
	Source           string
}

// Buckets are by API. The key "describe" is for those that read and are not
// named, "describe-all" for reads without filter, ids and page, "mutate" for
// all others; each API has a bucket of its own still. An API that none of them
// is for may be called at will.
type Buckets map[string]Bucket

//go:embed buckets.tsv
var bucketText string

var known = sync.OnceValue(func() Buckets {
	all := Buckets{}
	for _, f := range rows(bucketText, 4) {
		burst, err1 := strconv.ParseFloat(f[1], 64)
		rate, err2 := strconv.ParseFloat(f[2], 64)
		if err1 != nil || err2 != nil {
			panic("buckets.tsv: " + f[0])
		}
		all[f[0]] = Bucket{Burst: burst, PerSecond: rate, Source: f[3]}
	}
	return all
})

// KnownBuckets are EC2's as far as they are known: AWS documents one of them, and
// the others are general knowledge. Each says its source.
func KnownBuckets() Buckets {
	all := Buckets{}
	for k, b := range known() {
		all[k] = b
	}
	return all
}

// A level is how full a bucket is.
type level struct {
	bucket Bucket
	tokens float64
	last   time.Time
}

// take takes a token for a call and says whether there was one.
func (t *turn) take(o op) bool {
	c, now, api := t.c, t.now, t.call.API
	name, kind := api, "mutate"
	if o.reads {
		kind = "describe"
		if o.plain {
			name, kind = api+" (all)", "describe-all"
		}
	}
	l := c.levels[name]
	if l == nil {
		b, ok := c.opts.Buckets[api]
		if !ok {
			b, ok = c.opts.Buckets[kind]
		}
		if !ok {
			return true
		}
		l = &level{bucket: b, tokens: b.Burst, last: now}
		c.levels[name] = l
	}
	l.tokens = min(l.bucket.Burst, l.tokens+now.Sub(l.last).Seconds()*l.bucket.PerSecond)
	l.last = now
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}
