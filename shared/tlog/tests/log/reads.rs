//! Proofs, tiles and entries: right for every published size, in memory and after a restart.

use crate::common::{World, grow};
use crate::driver::{Driver, on_both, on_both_with_threads};
use merkle::{CompactRange, Hash, TILE_WIDTH, Tile, leaf_hash, verify_consistency, verify_inclusion};
use tlog::{Log, ReadError};

on_both!(everything_published_can_be_read_and_proved, an_entry_is_found_by_its_search_keys,);
on_both_with_threads!(readers_see_only_what_is_complete_while_the_log_grows);

const SIZE: u64 = 1_300;

/// What a reader computes from the entries alone.
struct Naive {
    leaves: Vec<Hash>,
    /// By size.
    roots: Vec<Hash>,
}

impl Naive {
    async fn read(log: &Log) -> Self {
        let entries = log.entries(0..u64::MAX).await.unwrap();
        let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(&entry.data)).collect();
        let mut range = CompactRange::new();
        let mut roots = vec![range.root()];
        for leaf in &leaves {
            range.append(*leaf);
            roots.push(range.root());
        }
        Self { leaves, roots }
    }

    /// The hashes of a tile level.
    fn level(&self, level: u8) -> Vec<Hash> {
        let root = |leaves: &[Hash]| {
            let mut range = CompactRange::new();
            leaves.iter().for_each(|leaf| range.append(*leaf));
            range.root()
        };
        self.leaves.chunks_exact((TILE_WIDTH as usize).pow(level.into())).map(root).collect()
    }
}

async fn check_reads(log: &Log) {
    let naive = Naive::read(log).await;
    assert_eq!((naive.leaves.len() as u64, naive.roots[SIZE as usize]), (SIZE, log.checkpoint().root));
    for size in [1, 2, 3, 255, 256, 257, 511, 512, 513, 768, 1_023, 1_024, 1_025, 1_299, 1_300_u64] {
        for index in (0..size).filter(|index| index % 7 == 0 || index % 256 > 250 || index + 3 > size) {
            let proof = log.inclusion_proof(index, size).await.unwrap();
            verify_inclusion(&naive.leaves[index as usize], index, size, &proof, &naive.roots[size as usize]).unwrap();
        }
        for old in (1..=size).filter(|old| old % 13 == 0 || old % 256 < 2) {
            let proof = log.consistency_proof(old, size).await.unwrap();
            verify_consistency(old, size, &proof, &naive.roots[old as usize], &naive.roots[size as usize]).unwrap();
        }
    }
    for level in 0..3 {
        let hashes = naive.level(level);
        for index in 0..7 {
            for width in [1, 2, 20, 128, 255, 256, 257] {
                let tile = log.tile(level, index, width).await.unwrap();
                let first = (index * TILE_WIDTH) as usize;
                let expected = hashes.get(first..first + usize::from(width)).filter(|_| width <= 256);
                let expected = expected.map(|hashes| hashes.iter().flat_map(|hash| *hash.as_bytes()).collect::<Vec<_>>());
                assert_eq!(tile.map(|tile| tile.to_vec()), expected, "tile {level} {index} {width}");
            }
        }
    }
    for (index, leaf) in naive.leaves.iter().enumerate().step_by(50) {
        assert_eq!(log.index_of(leaf).await.unwrap(), Some(index as u64));
    }
    assert_eq!(log.entries(1_298..5_000).await.unwrap().len(), 2);
    assert_eq!((log.entries(1_300..1_301).await.unwrap().len(), log.entries(7..7).await.unwrap().len()), (0, 0));
    assert!(log.tile(0, u64::MAX, 1).await.unwrap().is_none() && log.tile(255, 0, 1).await.unwrap().is_none());
    assert!(log.tile(0, 0, 0).await.unwrap().is_none());
    assert!(matches!(log.inclusion_proof(0, SIZE + 1).await, Err(ReadError::Beyond { asked: 1_301, published: SIZE })));
    assert!(matches!(log.inclusion_proof(SIZE, SIZE).await, Err(ReadError::OutOfRange(_))));
    assert!(matches!(log.consistency_proof(5, 4).await, Err(ReadError::OutOfRange(_))));
}

async fn everything_published_can_be_read_and_proved(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    let mut size = 0;
    for batch in [1, 254, 1, 1, 300, 200, 19, 500, 24] {
        grow(&log, size..size + batch).await;
        size += batch;
        assert_eq!(log.checkpoint().size, size);
    }
    check_reads(&log).await;
    log.close().await;
    // Nothing is in the cache now: leaf tiles come from the store.
    check_reads(&world.open(store.store()).await.unwrap()).await;
}

async fn an_entry_is_found_by_its_search_keys(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    grow(&log, 0..400).await;
    world.check(&log, &*store, 400).await;
    let leaves = store.leaf_hashes(0..400).await.unwrap();
    let found = log.search("77", 0, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    let stored = log.entries(found[0].0..found[0].0 + 1).await.unwrap().remove(0);
    assert!(stored.data.ends_with(b" 77") && leaf_hash(&stored.data) == found[0].1);
    // In pages, from anywhere.
    assert_eq!(log.search("every entry", 0, 7).await.unwrap(), leaves[..7]);
    assert_eq!(log.search("every entry", 390, 20).await.unwrap(), leaves[390..]);
    for (key, from) in [("every entry", 400), ("77", found[0].0 + 1), ("Every entry", 0), ("every", 0), ("", 0), ("%", 0)] {
        assert_eq!(log.search(key, from, 10).await.unwrap(), [], "{key}");
    }
    // Another log in the same file has words of its own.
    let other = world.create(store.log("other")).await;
    assert_eq!(other.search("77", 0, 10).await.unwrap(), []);
    grow(&other, 77..78).await;
    assert_eq!((other.search("77", 0, 10).await.unwrap()[0].0, log.search("77", 0, 10).await.unwrap().len()), (0, 1));
}

async fn readers_see_only_what_is_complete_while_the_log_grows(driver: Driver) {
    let world = World::new();
    let (log, _store) = driver.make(&world).await;
    grow(&log, 0..1).await;
    let reader = tokio::spawn({
        let log = log.clone();
        async move {
            let mut last = log.checkpoint();
            while last.size < 3_000 {
                let head = log.checkpoint();
                let proof = log.consistency_proof(last.size, head.size).await.unwrap();
                verify_consistency(last.size, head.size, &proof, &last.root, &head.root).unwrap();
                let entry = log.entries(head.size - 1..head.size).await.unwrap().remove(0);
                let proof = log.inclusion_proof(entry.index, head.size).await.unwrap();
                verify_inclusion(&leaf_hash(&entry.data), entry.index, head.size, &proof, &head.root).unwrap();
                for level in 0..2 {
                    let index = Tile::hashes_in_level(level, head.size) / TILE_WIDTH;
                    if let Some(edge) = Tile::at(level, index, head.size) {
                        assert_eq!(
                            log.tile(level, index, edge.width).await.unwrap().unwrap().len(),
                            usize::from(edge.width) * 32
                        );
                    }
                }
                last = head;
                tokio::task::yield_now().await;
            }
        }
    });
    for from in (1..3_001).step_by(50) {
        grow(&log, from..from + 50).await;
    }
    reader.await.unwrap();
}
