// Empty is a Go program that does nothing. Benchmarks use it, because its cost is the minimum cost
// of a Go program.
package main

func main() {}
