// Package docs follows the project's documents to the letter, on machines made
// of namespaces.
package docs
