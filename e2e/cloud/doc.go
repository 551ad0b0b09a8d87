// Package cloud has the cloud in memory driven as its documents say.
package cloud
