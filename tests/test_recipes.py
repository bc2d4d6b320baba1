"""Properties of every shipped recipe."""

import math
from pathlib import Path

import pytest
import torch
import yaml
from lightning import LightningModule
from PIL import Image

import lightning_gans
from benchmarks.recipes import module_of
from lightning_gans.__main__ import main
from lightning_gans.mechanics.schedules import Growth, Steps
from tests.conftest import ALL_RECIPES, CONFIGS, LARGE_RECIPES, RECIPES, OnePlayer, largest_difference, parsed, reduced
from tests.test_fonts import write_fonts


@pytest.fixture(params=RECIPES)
def recipe(request):
    return request.param


@pytest.mark.parametrize("name", ALL_RECIPES)
def test_a_recipe_keeps_the_trainers_defaults(name):
    trainer = parsed(name)["trainer"]
    classes = [entry["class_path"] for entry in trainer["callbacks"]]
    logger = trainer["logger"]["init_args"]
    assert (logger["save_dir"], logger["name"]) == ("runs", name)
    assert (trainer["num_sanity_val_steps"], trainer["enable_model_summary"]) == (0, False)
    assert {f"lightning_gans.callbacks.{own}" for own in ("ProgressBar", "NewestCheckpoint", "Report")} <= {*classes}
    assert len({*classes}) == len(classes) and trainer["max_steps"] > 0


def test_the_end_of_training_is_scored_and_kept(recipe):
    config = parsed(recipe)
    callbacks = {
        entry["class_path"].rsplit(".")[-1]: entry.get("init_args", {})
        for entry in reversed(config["trainer"]["callbacks"])
    }
    steps, batch_size = config["trainer"]["max_steps"], config["data"]["init_args"]["batch_size"]
    if "GenerativeMetrics" in callbacks:
        assert steps % round(1000 * callbacks["GenerativeMetrics"]["every_kimg"] / batch_size) == 0
    assert "NewestCheckpoint" in callbacks


def test_one_player_steps_at_a_time_and_a_checkpoint_rebuilds_the_model_without_arguments(recipe, tmp_path):
    callbacks = [{"class_path": "tests.conftest.OnePlayer"}]
    changes = {"max_epochs": -1, "max_steps": 6, "log_every_n_steps": 1, "callbacks": callbacks}
    cli = main(["fit", "--config", reduced(recipe, tmp_path, **changes)])
    terms = {name: value for name, value in cli.trainer.callback_metrics.items() if "_loss/" in name}
    one_player = next(callback for callback in cli.trainer.callbacks if isinstance(callback, OnePlayer))
    assert one_player.stepped == set(cli.model.players())
    assert terms and all(value.isfinite() for value in terms.values())
    cli.trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = LightningModule.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert type(loaded) is type(cli.model) and loaded.images_seen == cli.model.images_seen
    assert largest_difference(loaded.state_dict(), cli.model.state_dict()) == 0
    batch = next(iter(cli.datamodule.val_dataloader()))
    assert torch.equal(loaded.draw(batch, 1)["fake"], cli.model.draw(batch, 1)["fake"])


def write_images(folder: Path, names: list[str], size: tuple[int, int]) -> None:
    """Writes pictures of noise, in place of files that do not come with the package."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise(size, 10 * number).convert("RGB").save(folder / name)


def write_birds(folder: Path, size: int) -> None:
    """Writes birds of three kinds with captions, of which one is for evaluation, as CUB-200-2011 is unpacked."""
    birds = [f"{kind:03}.Gull/{number}" for kind in (1, 2, 3) for number in range(2)]
    write_images(folder / "CUB_200_2011" / "images", [f"{bird}.jpg" for bird in birds], (size, size))
    captions = folder / "text_c10"
    for bird in birds:
        (captions / bird).parent.mkdir(parents=True, exist_ok=True)
        (captions / f"{bird}.txt").write_text(f"a gull of number {bird}\na bird\n")
    (folder / "testclasses.txt").write_text("003.Gull\n")
    for name, value in (("images", "{}.jpg"), ("bounding_boxes", "1.0 1.0 9.0 9.0")):
        lines = (f"{number} {value.format(bird)}\n" for number, bird in enumerate(birds, 1))
        (folder / "CUB_200_2011" / f"{name}.txt").write_text("".join(lines))


def with_files(recipe: dict, folder: Path) -> dict:
    """Returns the data of a recipe with files of their form in the folder, or any images where it is another one."""
    kind, data = recipe["data"]["class_path"], recipe["data"]["init_args"]
    if "data" in data:  # the images of another module
        return {"class_path": kind, "init_args": data | {"data": with_files(data, folder)}}
    size = data.get("size", 32)
    if kind == "PhotosDataModule" and "folder" not in data:
        write_images(folder, ["style.jpg"], (40, 30))
        recipe["model"]["init_args"]["contents"][1]["init_args"]["style"] = str(folder / "style.jpg")
        return {"class_path": kind, "init_args": data | {"size": 32, "num_evaluation_crops": 4, "batch_size": 2}}
    if kind == "PhotosDataModule":
        folders = {name: str(folder.parent / path) for name, path in data.items() if name.endswith("folder")}
        for name, path in folders.items():
            small = "source" in name
            side = size // data["factor"] if small else size
            write_images(Path(path), [f"0001{'x4' * small}.png", f"0002{'x4' * small}.png"], (side, side))
        return {"class_path": kind, "init_args": data | folders | {"batch_size": 2, "cache": None}}
    if kind == "TurningFacesDataModule":  # which takes long at the paper's size
        small = {"num_images": 8, "num_evaluation_images": 2, "frames": 3, "batch_size": 4, "cache": None}
        return {"class_path": kind, "init_args": data | small}
    if kind == "AttributeFontFolderDataModule":
        fonts = {"num_training": 3, "num_evaluation": 1, "cache": None, "folder": str(write_fonts(folder, 5, 37, size))}
        return {"class_path": kind, "init_args": data | fonts}
    if kind == "PairedFolderDataModule":
        split = data.get("evaluation_split", "val")
        write_images(folder, ["train/1.jpg", "train/2.jpg", f"{split}/1.jpg"], (2 * size, size))
        data = data | {"batch_size": 1}
    elif kind == "CUBDataModule":
        write_birds(folder, 32)
        data = data | {"batch_size": 4}
    elif kind == "UnpairedFolderDataModule":
        write_images(folder, ["trainA/1.jpg", "trainB/1.jpg", "trainB/2.jpg", "testA/1.jpg", "testB/1.jpg"], (300, 256))
    else:
        write_images(folder, [f"class_{number % 2}/{number}.png" for number in range(16)], (size, size))
        kind, data = "ImageFolderDataModule", {"size": size, "batch_size": 8}
    return {"class_path": kind, "init_args": data | {"folder": str(folder), "cache": None}}


@pytest.mark.parametrize("name", LARGE_RECIPES)
def test_a_recipe_whose_files_do_not_come_with_the_package_takes_two_steps_at_a_small_width(name, tmp_path, request):
    path = Path(reduced(name, tmp_path, max_epochs=-1, max_steps=2, log_every_n_steps=1, strategy="auto"))
    recipe = yaml.safe_load(path.read_text())
    recipe["data"] = with_files(recipe, tmp_path / "data")
    for content in recipe["model"]["init_args"].get("contents", []):
        if features := content["init_args"].get("features"):
            network = features["init_args"]["network"]
            features["init_args"]["weights"] = str(request.getfixturevalue(network))
    recipe["model"]["init_args"]["n_critic"] = 1
    path.write_text(yaml.safe_dump(recipe))
    cli = main(["fit", "--config", str(path)])
    terms = {name: value for name, value in cli.trainer.callback_metrics.items() if "_loss/" in name}
    assert {term.split("_loss/")[0] for term in terms} == {*cli.model.players()}
    assert all(value.isfinite() for value in terms.values()) and cli.trainer.global_step == 2


PARAMETERS = {  # of the authors' networks
    "gan_int_cls_cub": (18_905_472, 4_030_080),
    "stackgan_cub_stage1": (14_264_192, 4_029_824),
    "stackgan_cub_stage2": (26_290_080, 48_603_520),  # without the first stage
    "cut_horse2zebra": (11_378_179 + 560_384, 2_764_737),
    "cyclegan_horse2zebra": (2 * 11_378_179, 2 * 2_764_737),
    "pgn_faces": (70_349_889, 70_889_922),
    "pix2pix_facades": (54_413_955, 2_768_705),
    "progan_celebahq": (23_079_115, 23_087_249),
    "r3gan_cifar10": (20_781_952, 21_280_512),
    "r3gan_ffhq64": (22_429_824, 22_381_440),
    # 19,947,539 and 20,720,641 without classes; a table, 512 more inputs of the mapping, another mapping, 511 outputs
    "stylegan2_ada_cifar10": (19_947_539 + 5_632 + 262_144, 20_720_641 + 5_632 + 8 * 262_656 + 511 * 513),
    "stylegan2_ada_ffhq256": (24_767_458, 24_001_089),
    "stylegan_ffhq": (26_219_627, 23_087_249),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_recipe_at_the_scale_of_its_paper_has_the_networks_of_its_authors(name):
    with torch.device("meta"):
        module = module_of(name)
    parts = (module.generator, module.discriminator)
    assert tuple(sum(p.numel() for p in part.parameters()) for part in parts) == PARAMETERS[name]


@pytest.mark.parametrize("name", ["progan_celebahq", "stylegan_ffhq"])
def test_rates_follow_the_sizes_of_a_growing_network(name):
    model = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["model"]["init_args"]
    growth = Growth(**model["generator"]["init_args"]["level"]["init_args"])
    factor = Steps(**model["generator_scheduler"]["init_args"]["factor"]["init_args"])
    for images in range(1, 12_000_000, 300_000):
        size = min(4 * 2 ** math.ceil(growth(images)), 1024)
        assert factor(images) == {128: 1.5, 256: 2.0, 512: 3.0, 1024: 3.0}.get(size, 1.0), size


# Recipes with the variant and the networks of another one.
ALIKE = {"aae_style_mnist", "biggan_openmoji", "dcgan_openmoji", "hinge_gan_mnist", "lsgan_mnist", "unrolled_gan_grid"}


@pytest.mark.parametrize("recipe", [name for name in RECIPES if name not in ALIKE])
def test_a_recipe_trains_with_every_regularizer_that_its_variant_can_have(recipe, tmp_path):
    path = reduced(recipe, tmp_path, max_epochs=-1, max_steps=5, log_every_n_steps=1)
    variant = getattr(lightning_gans, yaml.safe_load(Path(path).read_text())["model"]["class_path"])
    of_images = variant.discriminate is not None and not recipe.endswith(("grid", "ring"))  # whose data are points
    names = ["HistoricalAveraging", "OrthogonalRegularization"]
    names += ["ConsistencyRegularization"] * of_images + ["LeCam"] * (variant.logits is not None)
    cli = main(["fit", "--config", path, *(f"--model.regularizers+={name}" for name in names)])
    terms = {name: value for name, value in cli.trainer.callback_metrics.items() if "_loss/" in name}
    assert all(value.isfinite() for value in terms.values())
    added = {"historical_averaging", "orthogonality", "consistency", "lecam"}
    assert len({name.split("/")[1] for name in terms} & added) == len(names)
