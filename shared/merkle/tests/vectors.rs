//! Known answers: trees over the decimal numbers, agreed on by independent implementations of C2SP `tlog-tiles`.

mod common;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use common::{FullTree, decimal_leaves};
use merkle::{Hash, ProofPlan, Tile, TilePath, leaf_hash, node_hash, sha256, verify_consistency, verify_inclusion};

const ROOTS: [(u64, &str); 10] = [
    (0, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
    (1, "2zQm6HgGjSjSabbIcXIyLOU3K2V1bQeJAB00g19gHAM="),
    (2, "ywCYnZSlacCmeK4EK2Pc1GJduWRAUX83put5duok7Us="),
    (3, "cl1SMNto9VdHDcNfHYhlgTrNfrsHrRUndBQd7LrnEyc="),
    (7, "o+I7Msy2v5bQktFl2KpUbgmCnejwOw6JV1gdHha5K98="),
    (8, "O4WpYmwcy2TGuV7H+mSIje/izxLjnnfhCBLOX8uctY4="),
    (255, "Mvhbyqh9e80Fco8J6a66NQumovczgwCH8Fl2goSL5cs="),
    (256, "goUV0DPBnYyQHzfsy4rtkZZncDSG+NL/8c9wQDIcXbE="),
    (257, "HtoEmkNR2G92JSvX7At3Rq11t/oDFq1fVB29pFijEsQ="),
    (70_000, "Gkzfy2Y3SgwNy+9JrL1JdtE+6GT7PLJB/JQ8rQTwL34="),
];

fn base64(hash: &Hash) -> String {
    BASE64_STANDARD.encode(hash)
}

fn inclusion(index: u64, size: u64) -> ProofPlan {
    ProofPlan::inclusion(index, size).expect("the leaf is in the tree")
}

#[test]
fn roots() {
    let tree = FullTree::new(&decimal_leaves(70_000));
    assert_eq!(base64(&tree.range.root()), ROOTS[9].1);
    for (size, root) in ROOTS {
        assert_eq!(base64(&tree.root_at(size)), root, "size {size}");
        assert_eq!(base64(&FullTree::new(&decimal_leaves(size)).range.root()), root, "size {size}");
    }
}

#[test]
fn inclusion_paths() {
    let leaves = decimal_leaves(70_000);
    let tree = FullTree::new(&leaves);
    let path: Vec<_> = tree.prove(&inclusion(0, 3)).iter().map(base64).collect();
    assert_eq!(path, ["IhXorE4rhxwqSBieeXOMlWwIHiOsLyQVv3faGZ39kgw=", "+mHj3sNDlYn0eEyJO/Mh0AhPBMVyx68raOPzNgo1tIY="]);
    assert_eq!(tree.prove(&inclusion(256, 257)), [tree.root_at(256)]);
    for (index, length) in [(69_999, 9), (0, 17)] {
        let proof = tree.prove(&inclusion(index, 70_000));
        assert_eq!(proof.len(), length);
        verify_inclusion(&leaves[index as usize], index, 70_000, &proof, &tree.range.root()).unwrap();
    }
}

#[test]
fn consistency_lengths() {
    let tree = FullTree::new(&decimal_leaves(70_000));
    for (old, new, length) in [(1, 2, 1), (3, 7, 4), (4, 7, 1), (6, 8, 3), (256, 257, 1), (255, 70_000, 18)] {
        let proof = tree.prove(&ProofPlan::consistency(old, new).unwrap());
        assert_eq!(proof.len(), length, "{old} to {new}");
        verify_consistency(old, new, &proof, &tree.root_at(old), &tree.root_at(new)).unwrap();
    }
}

#[test]
fn tile_files_of_a_tree_of_70_000() {
    let tree = FullTree::new(&decimal_leaves(70_000));
    let file = |path: &str| {
        let TilePath { kind: merkle::TileKind::Hashes(level), index, width } = path.parse().unwrap() else { panic!("{path}") };
        assert_eq!(Tile::at(level, index, 70_000), Some(Tile { level, index, width }));
        let hash = |n| tree.nodes[&merkle::Node { level: level * 8, index: index * 256 + n }];
        sha256(&(0..u64::from(width)).flat_map(|n| *hash(n).as_bytes()).collect::<Vec<_>>()).to_string()
    };
    assert_eq!(file("tile/0/000"), "b9704a8bfbee2c61185ceb38904a49f3f703c81e194b5b2ccdc254c2bdaaa62b");
    assert_eq!(file("tile/0/273.p/112"), "4d21244557c976993a9a89bf928a46b5a876585228df279878239fd84489e5a5");
    assert_eq!(file("tile/1/000"), "ea7b038bc73489c89c31a27ac355aaca65a4ed73f0dd7484e68deb29d30f10a2");
    assert_eq!(file("tile/1/001.p/17"), "adfaca2731630fe7944a4b98a0f98ef3e98685eafda09e6f81070218fb759ce4");
    assert_eq!(file("tile/2/000.p/1"), "f0113c8bad855b49f9a5dd661d50012cd94f19aae87a45eb8334666835e3caea");
}

#[test]
fn every_node_is_the_fold_of_its_place() {
    let tree = FullTree::new(&decimal_leaves(70_000));
    for (node, hash) in &tree.nodes {
        let place = node.place();
        let mut row: Vec<_> = (u64::from(place.first)..u64::from(place.first + place.count))
            .map(|n| tree.nodes[&merkle::Node { level: place.level * 8, index: place.index * 256 + n }])
            .collect();
        while row.len() > 1 {
            row = row.chunks(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
        }
        assert_eq!(row, [*hash], "{node:?}");
    }
}

#[test]
fn the_example_tree_of_certificate_transparency() {
    // The reference tree of eight leaves and its roots, from the test data of certificate-transparency and RFC 6962 tools.
    let leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
        .map(|leaf| leaf_hash(&hex::decode(leaf).unwrap()));
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let tree = FullTree::new(&leaves);
    for (size, root) in (1..).zip(roots) {
        assert_eq!(tree.root_at(size).to_string(), root);
    }
}
