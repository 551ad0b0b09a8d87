package cloudsim

// A Bucket is how often an API may be called: Burst at once, PerSecond over time.
type Bucket struct {
	Burst, PerSecond float64
	Source           string
}

// Buckets are by API. The key "describe" is for those that read and are not
// named, "describe-all" for reads without filter, ids and page, "mutate" for
// all others; each API has a bucket of its own still.
type Buckets map[string]Bucket

// DocumentedBuckets are EC2's, as far as known; each with its source.
func DocumentedBuckets() Buckets { return nil }
